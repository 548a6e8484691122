import type { ModelId, PeerId, RequestId } from '../../protocol/index.ts'
import type { AnswerAttempt, Handover } from './answer.ts'

export interface AnswerEvents {
  /** No worker is known, or none to go on with the answer; the request waits for one to appear. */
  readonly waiting: { readonly requestId: RequestId }
  /** A worker was chosen and has the prompt. */
  readonly worker: { readonly workerId: PeerId; readonly modelId: ModelId; readonly attempt: number }
  /** Where the request stands in the worker's queue; `etaMs` is the worker's estimate of the first token. */
  readonly queued: { readonly position: number; readonly etaMs: number; readonly promptTokens: number }
  /** The first token came, this many milliseconds after the question. */
  readonly started: { readonly firstTokenMs: number }
  /** The stream goes on at another worker: nothing was lost, nothing comes twice. */
  readonly handover: Handover
  /** A worker refused or failed; another may follow. */
  readonly attemptFailed: AnswerAttempt
}

export type AnswerListener<Name extends keyof AnswerEvents> = (event: AnswerEvents[Name]) => void

/**
 * A typed emitter. Listeners run after whatever led to the event is finished, so that one which cancels, asks again or
 * throws does not do it in the middle of a machine's step.
 */
export class AnswerEmitter {
  readonly #listeners = new Map<keyof AnswerEvents, Set<AnswerListener<never>>>()

  on<Name extends keyof AnswerEvents>(name: Name, listener: AnswerListener<Name>): void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
  }

  off<Name extends keyof AnswerEvents>(name: Name, listener: AnswerListener<Name>): void {
    this.#listeners.get(name)?.delete(listener)
  }

  emit<Name extends keyof AnswerEvents>(name: Name, event: AnswerEvents[Name]): void {
    const listeners = this.#listeners.get(name) as Set<AnswerListener<Name>> | undefined
    for (const listener of listeners ?? []) {
      // A throw in a microtask of its own is an uncaught exception, as with an EventTarget: the listener's defect stays
      // visible and touches nothing else.
      queueMicrotask(() => {
        if (listeners?.has(listener)) listener(event)
      })
    }
  }
}
