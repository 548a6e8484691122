import type { AnswerEvents, AnswerListener } from '../../actors/request/answer-events.ts'
import type { AnswerChunk } from '../../actors/request/answer-log.ts'
import type { AnswerResult } from '../../actors/request/answer.ts'
import type { AskOptions } from '../../actors/request/ask-options.ts'
import type { ChatMessage } from '../../protocol/index.ts'
import type { NodeStatus } from '../node-status.ts'
import type { WorkerSummary } from './commands/workers.ts'

/** The part of an answer that the control socket passes on: chunks once, in order, as fast as they are read. */
export interface ControlAnswer extends AsyncIterable<AnswerChunk> {
  readonly result: Promise<AnswerResult>
  on<Name extends keyof AnswerEvents>(name: Name, listener: AnswerListener<Name>): unknown
  cancel(): void
}

/**
 * What a running node lets the command line do with it. The node implements it for the server; the client implements
 * it for the commands, so that they need not know whether they talk to a running node or to one of their own.
 */
export interface ControlPort {
  status(): NodeStatus | Promise<NodeStatus>
  workers(): readonly WorkerSummary[] | Promise<readonly WorkerSummary[]>
  ask(input: ChatMessage[], options: AskOptions): ControlAnswer
}
