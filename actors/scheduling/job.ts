import type { Precedence, SlotId } from '../../machines/scheduling/index.ts'
import { type ErrorCode, limits, type Prompt, type Response } from '../../protocol/index.ts'
import type { EngineHost, Generation, GenerationResult, TokenChunk } from '../inference/engine.port.ts'
import type { ClientWire } from '../peer/wire.ts'
import type { Earning } from './earnings.port.ts'
import type { ServeTrace } from './serve-tracer.port.ts'

/** One run of a client's request on this worker. A stream that comes back to the worker it left is a new job. */
export type JobId = string

/** What a client calls its request, made unique: request ids are unique per client only. */
export type JobName = string

export const toJobName = (clientId: string, requestId: string): JobName => `${clientId}:${requestId}`

let jobs = 0

/** preparing: the engine counts its tokens; waiting: in the queue; running: a slot has it. */
export type JobPhase = 'preparing' | 'waiting' | 'running'

/** One admitted or arriving request: who wants it, how far it is, and the way its tokens take to the client. */
export class Job {
  readonly id: JobId
  readonly name: JobName
  readonly wire: ClientWire
  readonly prompt: Prompt
  /** Asked once, when it arrived. */
  readonly precedence: Precedence
  readonly arrivedAtMs: number
  phase: JobPhase = 'preparing'
  promptTokens = 0
  /** The host that knows this request's tokens; a reloaded one does not. */
  preparedBy: EngineHost | undefined
  queuedMs = 0
  slotId: SlotId | undefined
  /** The client went away or cancelled while the engine was still preparing. */
  isAbandoned = false
  #generation: Generation | undefined
  #isCancelled = false
  #sentTokens: number

  /** What the worker earns with it; undefined when the client offered nothing. */
  readonly earning: Earning | undefined
  /** Undefined where nothing is traced. */
  trace: ServeTrace | undefined

  constructor(
    wire: ClientWire,
    prompt: Prompt,
    precedence: Precedence,
    arrivedAtMs: number,
    earning?: Earning,
  ) {
    this.earning = earning
    this.name = toJobName(wire.peerId, prompt.requestId)
    this.id = `${this.name}#${++jobs}`
    this.#sentTokens = prompt.resume?.tokens.length ?? 0
    this.wire = wire
    this.prompt = prompt
    this.precedence = precedence
    this.arrivedAtMs = arrivedAtMs
  }

  /** Tokens of the answer that the client has or that are on their way, those of other workers included. */
  get sentTokens(): number {
    return this.#sentTokens
  }

  runs(generation: Generation): void {
    this.#generation = generation
    if (this.#isCancelled) generation.cancel()
  }

  /** Stops it now, or as soon as it starts. */
  cancel(): void {
    this.#isCancelled = true
    this.#generation?.cancel()
  }

  /** @returns whether the acknowledgement is possible: nobody can have read what was not sent. */
  acknowledge(received: number): boolean {
    if (received > this.#sentTokens) return false
    this.#generation?.acknowledge(received)
    return true
  }

  /** Sends tokens as they come; what is too much for one frame goes in several. */
  push({ tokens, text }: TokenChunk): void {
    this.earning?.sent(tokens)
    let textLeft = text
    for (let from = 0; from < tokens.length || textLeft.length > 0; from += limits.responseTokensMax) {
      const part = tokens.slice(from, from + limits.responseTokensMax)
      this.#send(part, textLeft.slice(0, limits.responseCharsMax))
      textLeft = textLeft.slice(limits.responseCharsMax)
    }
  }

  /** Its story is over; the first call counts. @param code why it was not answered */
  traced(code?: ErrorCode): void {
    const tokens = this.#sentTokens - (this.prompt.resume?.tokens.length ?? 0)
    this.trace?.ended({ tokens, promptTokens: this.promptTokens, code })
  }

  finish(result: GenerationResult): void {
    const evidence = this.earning?.finished(result)
    const queuedMs = Math.round(this.queuedMs)
    this.#send([], '', { ...result, queuedMs, ...(evidence !== undefined && { evidence }) })
  }

  #send(tokens: readonly number[], text: string, finish?: Response['finish']): void {
    this.wire.send({
      type: 'response',
      requestId: this.prompt.requestId,
      seq: this.#sentTokens,
      tokens: [...tokens],
      text,
      ...(finish && { finish }),
    })
    this.#sentTokens += tokens.length
  }
}
