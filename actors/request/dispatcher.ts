import {
  limits,
  type Finish,
  type InferenceError,
  type PeerId,
  type Prompt,
  type QueueStatus,
  type RequestId,
  type Response,
  type WorkerMessage,
} from '../../protocol/index.ts'
import { toWorkerCode, type Failure, type LifeSigns } from '../../machines/request/index.ts'
import type { Reception, WorkerDesk, WorkerWire } from '../peer/wire.ts'
import { ResponseGuard } from './response-guard.ts'

/** What an attempt hears. After `finished` or `failed` it hears nothing more. Must not throw. */
export interface AttemptListener {
  queued(status: QueueStatus): void
  /** In order, without gaps or repeats; the text that became certain with these tokens. */
  tokens(tokens: readonly number[], text: string): void
  finished(finish: Finish): void
  failed(failure: Failure): void
}

/** One prompt that is open at a worker. */
export interface OpenPrompt {
  /** Tokens handed out and not acknowledged yet. */
  readonly unacked: number
  /** The reader has taken this many tokens in all. */
  acknowledge(received: number): void
  /** Tells the worker to stop, unless the prompt has ended. The listener hears nothing more. */
  cancel(): void
}

interface Running {
  readonly prompt: Prompt
  readonly listener: AttemptListener
  readonly guard: ResponseGuard
  readonly openedAtMs: number
  positions: number
}

/** Who said the last word: after the worker's own, more is an offence; after ours, what was on its way is not. */
interface Ended {
  readonly by: 'client' | 'worker'
  lateFrames: number
}

/** One open wire. What was said on an earlier connection of the same worker cannot arrive on this one. */
interface Line {
  readonly wire: WorkerWire
  readonly running: Map<RequestId, Running>
  /** Of the latest `endedMax` prompts on this wire, oldest first. */
  readonly ended: Map<RequestId, Ended>
}

/** Ended prompts remembered per wire: several times what a worker lets one client have open. */
const endedMax = 4 * limits.requestsPerPeerMax

/** Frames that can be on their way when we leave: the window's worth, and a few words about the position. */
const lateFramesMax = limits.unackedTokensMax + 32

/** A worker may say the position twice a second; twice that, and a burst, is tolerated. */
const positionsPerSecond = 4
const positionsBurst = 16

/**
 * The client's front desk: routes what workers say to the attempt it is for, and lets nothing through that would harm
 * the reader's stream. A worker that breaks the rules fails its attempt and earns a violation; it never causes a throw.
 */
export class Dispatcher implements WorkerDesk {
  readonly #now: () => number
  readonly #lines = new Map<WorkerWire, Line>()
  readonly #wireOf = new Map<PeerId, WorkerWire>()

  /** @param now milliseconds of a clock that does not jump */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Prompts open at all workers together. */
  get size(): number {
    return [...this.#lines.values()].reduce((sum, { running }) => sum + running.size, 0)
  }

  isConnected(workerId: PeerId): boolean {
    return this.#wireOf.has(workerId)
  }

  /** What shows that the worker is still there; null while it is not connected. */
  signsOf(workerId: PeerId): LifeSigns | null {
    return this.#wireOf.get(workerId)?.life ?? null
  }

  /** A worker can be reached through this wire. A newer wire of the same worker takes over for new prompts. */
  opened(wire: WorkerWire): void {
    if (!this.#lines.has(wire)) this.#lines.set(wire, { wire, running: new Map(), ended: new Map() })
    this.#wireOf.set(wire.peerId, wire)
  }

  /** Fails every attempt on this wire with `QM_WORKER_LOST`. */
  closed(wire: WorkerWire): void {
    const line = this.#lines.get(wire)
    if (!line) return
    this.#lines.delete(wire)
    if (this.#wireOf.get(wire.peerId) === wire) this.#wireOf.delete(wire.peerId)
    for (const [requestId, { listener }] of line.running) {
      line.running.delete(requestId)
      listener.failed({ code: 'QM_WORKER_LOST' })
    }
  }

  /** Sends a prompt. @returns null when the worker is not connected or runs this very request already. */
  open(workerId: PeerId, prompt: Prompt, listener: AttemptListener): OpenPrompt | null {
    const wire = this.#wireOf.get(workerId)
    const line = wire && this.#lines.get(wire)
    if (!line || line.running.has(prompt.requestId)) return null
    const { requestId } = prompt
    const guard = new ResponseGuard(prompt.maxTokens, prompt.resume)
    const running: Running = { prompt, listener, guard, openedAtMs: this.#now(), positions: 0 }
    line.ended.delete(requestId)
    line.running.set(requestId, running)
    // Registered first: an answer within this very call would otherwise be one to an unknown request.
    line.wire.send(prompt)
    const isOpen = (): boolean => line.running.get(requestId) === running
    return {
      get unacked() {
        return guard.unacked
      },
      acknowledge: (received) => {
        if (!isOpen() || received > guard.received) return
        guard.acknowledged(received)
        line.wire.send({ type: 'ack', requestId, received })
      },
      cancel: () => {
        if (!isOpen()) return
        this.#end(line, requestId, 'client')
        line.wire.send({ type: 'cancel', requestId })
      },
    }
  }

  received(wire: WorkerWire, message: WorkerMessage): Reception {
    // A status is about the worker, not about a request: whoever keeps the directory takes it.
    if (message.type === 'status') return 'ok'
    const line = this.#lines.get(wire)
    // The wire was closed by us; what still comes out of it is nobody's offence.
    if (!line) return 'late'
    if (message.requestId === undefined) return this.#failAll(line, message as InferenceError)
    const running = line.running.get(message.requestId)
    if (!running) return this.#toLate(line, message.requestId)
    switch (message.type) {
      case 'queue-status':
        return this.#position(line, running, message)
      case 'response':
        return this.#response(line, running, message)
      case 'inference_error':
        return this.#error(line, running, message)
    }
  }

  #position(line: Line, running: Running, status: QueueStatus): Reception {
    const seconds = (this.#now() - running.openedAtMs) / 1_000
    if (++running.positions > positionsBurst + positionsPerSecond * seconds) {
      return this.#misbehaved(line, running, `${running.positions} positions in ${seconds.toFixed(1)} s`)
    }
    // The worker throttles positions, so one may be overtaken by the first token.
    if (running.guard.received > (running.prompt.resume?.tokens.length ?? 0)) return 'late'
    running.guard.admitted(status.promptTokens)
    running.listener.queued(status)
    return 'ok'
  }

  #response(line: Line, running: Running, response: Response): Reception {
    const wrong = running.guard.check(response)
    if (wrong) return this.#misbehaved(line, running, wrong)
    const { tokens, text, finish, requestId } = response
    if (tokens.length > 0 || text.length > 0) running.listener.tokens(tokens, text)
    // The reader may have cancelled while it was handed these tokens.
    if (!finish || line.running.get(requestId) !== running) return 'ok'
    this.#end(line, requestId, 'worker')
    running.listener.finished(finish)
    return 'ok'
  }

  #error(line: Line, running: Running, { code, message, retryAfterMs }: InferenceError): Reception {
    this.#end(line, running.prompt.requestId, 'worker')
    const taken = toWorkerCode(code)
    running.listener.failed({
      code: taken,
      message: taken === code ? message : `The worker answered with ${code}, which is not a worker's to say.`,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    })
    return taken === code ? 'ok' : 'violation'
  }

  /** An error without a request id is about the connection: everything on it fails. */
  #failAll(line: Line, { code, message, retryAfterMs }: InferenceError): Reception {
    const taken = toWorkerCode(code)
    for (const [requestId, { listener }] of line.running) {
      this.#end(line, requestId, 'worker')
      listener.failed({ code: taken, message, ...(retryAfterMs !== undefined && { retryAfterMs }) })
    }
    return taken === code ? 'ok' : 'violation'
  }

  #misbehaved(line: Line, running: Running, detail: string): Reception {
    const { requestId } = running.prompt
    this.#end(line, requestId, 'client')
    line.wire.send({ type: 'cancel', requestId })
    running.listener.failed({
      code: 'QM_WORKER_MISBEHAVED',
      message: `The worker broke the protocol in mid-answer: ${detail}.`,
    })
    return 'violation'
  }

  #toLate({ ended }: Line, requestId: RequestId): Reception {
    const end = ended.get(requestId)
    if (end?.by !== 'client') return 'violation'
    return ++end.lateFrames > lateFramesMax ? 'violation' : 'late'
  }

  #end(line: Line, requestId: RequestId, by: Ended['by']): void {
    line.running.delete(requestId)
    line.ended.delete(requestId)
    line.ended.set(requestId, { by, lateFrames: 0 })
    const oldest = line.ended.keys().next()
    if (line.ended.size > endedMax && !oldest.done) line.ended.delete(oldest.value)
  }
}
