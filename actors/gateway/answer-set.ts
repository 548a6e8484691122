import type { ModelId, PeerId, Traceparent } from '../../protocol/index.ts'
import type { Answer, AnswerResult } from '../request/answer.ts'
import type { Call } from './call.ts'
import type { GatewayPort } from './gateway.port.ts'
import type { Meter } from './meter.ts'

/**
 * The answers that one call waits for. They are one matter: when one of them fails, or the caller goes away, the others
 * are stopped, wherever in the mesh they are.
 */
export class AnswerSet {
  readonly answers: readonly Answer[]
  readonly #abort = new AbortController()
  /** Workers that were given the questions, in the order in which they came in. */
  readonly #workers = new Set<PeerId>()
  #handovers = 0
  #modelId: ModelId | undefined
  #promptTokens = 0

  /**
   * @param traceparent the step of the caller's trace that the questions belong to
   * @throws QMeshError `QM_REQUEST_INVALID`; then nothing was asked
   */
  constructor(port: GatewayPort, call: Call, meter: Meter, traceparent?: Traceparent) {
    const ours = { signal: this.#abort.signal, ...(traceparent !== undefined && { traceparent }) }
    try {
      this.answers = call.asks.map(({ input, options }) => {
        const answer = port.ask(input, { ...options, ...ours })
        answer.on('worker', ({ workerId, modelId }) => {
          this.#workers.add(workerId)
          this.#modelId ??= modelId
        })
        answer.on('queued', ({ promptTokens }) => {
          this.#promptTokens = promptTokens
        })
        answer.on('handover', () => this.#handovers++)
        meter.asked(answer)
        return answer
      })
    } catch (error) {
      this.abort(error)
      throw error
    }
  }

  /** The model that answers, once a worker was found. */
  get modelId(): ModelId | undefined {
    return this.#modelId
  }

  /** Tokens of the prompt as a worker counted them; 0 before. */
  get promptTokens(): number {
    return this.#promptTokens
  }

  get handovers(): number {
    return this.#handovers
  }

  /** What is known by now of who answers, for the head of the reply. */
  get headers(): Record<string, string> {
    return {
      'x-qmesh-request-id': this.answers.map(({ requestId }) => requestId).join(', '),
      ...(this.#workers.size > 0 && { 'x-qmesh-worker': [...this.#workers].join(', ') }),
      'x-qmesh-handovers': String(this.#handovers),
    }
  }

  /** All answers, when all are complete. @throws AnswerError of the first that failed; the others are cancelled */
  async results(): Promise<readonly AnswerResult[]> {
    try {
      return await Promise.all(this.answers.map(({ result }) => result))
    } catch (error) {
      this.abort(error)
      throw error
    }
  }

  /** Cancels what is not complete. After the end it does nothing. */
  abort(reason?: unknown): void {
    this.#abort.abort(reason)
  }
}
