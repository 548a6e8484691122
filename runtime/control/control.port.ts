import type { AnswerEvents, AnswerListener } from '../../actors/request/answer-events.ts'
import type { AnswerChunk } from '../../actors/request/answer-log.ts'
import type { AnswerResult } from '../../actors/request/answer.ts'
import type { AskOptions } from '../../actors/request/ask-options.ts'
import type { EmbedOptions } from '../../actors/request/embed-options.ts'
import type { Embeddings } from '../../actors/request/embedder.ts'
import type { ChatMessage, RequestId } from '../../protocol/index.ts'
import type { ModelsPort } from '../models/models.port.ts'
import type { NodeStatus } from '../node-status.ts'
import type { CreditReport, ScoreReport, ScoreRow } from '../trust/reports.ts'
import type { RequestExplanation, RequestSummary, WhyOptions } from '../why/request-explanation.ts'
import type { Meeting } from './commands/meeting.ts'
import type { WorkerSummary } from './commands/workers.ts'

/** The part of an answer that the control socket passes on: chunks once, in order, as fast as they are read. */
export interface ControlAnswer extends AsyncIterable<AnswerChunk> {
  /** Not known before the node has said it. */
  readonly requestId?: RequestId | undefined
  readonly result: Promise<AnswerResult>
  on<Name extends keyof AnswerEvents>(name: Name, listener: AnswerListener<Name>): unknown
  cancel(): void
}

/**
 * What the command line does with any node. The node implements it for the server; the client implements it for the
 * commands, so that they need not know whether they talk to a running node or to one of their own.
 */
export interface MeshPort {
  status(): NodeStatus | Promise<NodeStatus>
  workers(): readonly WorkerSummary[] | Promise<readonly WorkerSummary[]>
  ask(input: ChatMessage[], options: AskOptions): ControlAnswer
  embed(texts: readonly string[], options: EmbedOptions): Promise<Embeddings>
  requests(): readonly RequestSummary[] | Promise<readonly RequestSummary[]>
  why(requestId?: string, options?: WhyOptions): RequestExplanation | Promise<RequestExplanation>
}

/** What it does with a running one besides. */
export interface ControlPort extends MeshPort {
  meeting(): Meeting | Promise<Meeting>
  drain(): NodeStatus | Promise<NodeStatus>
  resume(): NodeStatus | Promise<NodeStatus>
  scores(): readonly ScoreRow[] | Promise<readonly ScoreRow[]>
  whyScore(id?: string, last?: number): Promise<ScoreReport>
  credit(last?: number): Promise<CreditReport>
  /** Absent: the node keeps no models. */
  readonly models?: ModelsPort | undefined
}
