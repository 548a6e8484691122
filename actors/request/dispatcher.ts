import {
  type Effort,
  limits,
  type Finish,
  type InferenceError,
  type PeerId,
  type Prompt,
  QMeshError,
  type QueueStatus,
  type RequestId,
  type Response,
  type WorkerMessage,
} from '../../protocol/index.ts'
import { toWorkerCode, type Failure, type LifeSigns } from '../../machines/request/index.ts'
import type { Reception, WorkerDesk, WorkerWire } from '../peer/wire.ts'
import type { Deal, DealsPort } from './deals.port.ts'
import { ResponseGuard } from './response-guard.ts'

/** Why a prompt failed. */
export interface PromptFailure extends Failure {
  /** What the worker asks for now, when that is why. */
  readonly effort?: Effort | undefined
}

/** What an attempt hears. After `finished` or `failed` it hears nothing more. Must not throw. */
export interface AttemptListener {
  queued(status: QueueStatus): void
  /** In order, without gaps or repeats; the text that became certain with these tokens. */
  tokens(tokens: readonly number[], text: string): void
  /** With the vectors where the prompt asked for embeddings; `finish` itself has them no more. */
  finished(finish: Finish, vectors?: readonly Float32Array[]): void
  failed(failure: PromptFailure): void
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
  readonly deal: Deal | undefined
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
  /** Frames that may still come for prompts that we ended before those. */
  forgottenFrames: number
}

/** Ended prompts remembered per wire: several times what a worker lets one client have open. */
const endedMax = 4 * limits.requestsPerPeerMax

/** Frames that can be on their way when we leave: the window's worth, and a few words about the position. */
const lateFramesMax = limits.unackedTokensMax + 32

/** Of prompts that are forgotten, too: a client that cancels in a storm must not blame the worker for answering. */
const forgottenFramesMax = endedMax * lateFramesMax

/** A worker may say the position twice a second; twice that, and a burst, is tolerated. */
const positionsPerSecond = 4
const positionsBurst = 16

/**
 * The client's front desk: routes what workers say to the attempt it is for, and lets nothing through that would harm
 * the reader's stream. A worker that breaks the rules fails its attempt and earns a violation; it never causes a throw.
 */
export class Dispatcher implements WorkerDesk {
  readonly #now: () => number
  readonly #deals: DealsPort | undefined
  readonly #lines = new Map<WorkerWire, Line>()
  readonly #wireOf = new Map<PeerId, WorkerWire>()

  /**
   * @param now milliseconds of a clock that does not jump
   * @param deals what is promised and signed for; absent: nothing
   */
  constructor(now: () => number, deals?: DealsPort) {
    this.#now = now
    this.#deals = deals
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
    if (!this.#lines.has(wire)) {
      this.#lines.set(wire, { wire, running: new Map(), ended: new Map(), forgottenFrames: 0 })
    }
    this.#wireOf.set(wire.peerId, wire)
  }

  /** Fails every attempt on this wire with `QM_WORKER_LOST`. */
  closed(wire: WorkerWire): void {
    const line = this.#lines.get(wire)
    if (!line) return
    this.#lines.delete(wire)
    if (this.#wireOf.get(wire.peerId) === wire) this.#wireOf.delete(wire.peerId)
    for (const [requestId, { listener, deal }] of line.running) {
      line.running.delete(requestId)
      deal?.close()
      listener.failed({ code: 'QM_WORKER_LOST' })
    }
  }

  /**
   * Sends a prompt. One that does not fit a frame fails within this call: it would fit none at any other worker.
   *
   * @param embeddingSize numbers in each vector, of a model that makes embeddings
   * @returns null when the worker is not connected or runs this very request already.
   */
  open(
    workerId: PeerId,
    prompt: Prompt,
    listener: AttemptListener,
    embeddingSize?: number,
  ): OpenPrompt | null {
    const wire = this.#wireOf.get(workerId)
    const line = wire && this.#lines.get(wire)
    if (!line || line.running.has(prompt.requestId)) return null
    const { requestId } = prompt
    const guard = new ResponseGuard(prompt, embeddingSize)
    const deal = tryTo(() => this.#deals?.begin(workerId, prompt))
    if (deal instanceof QMeshError) {
      const { code, message } = deal
      listener.failed({ code, message })
      return { unacked: 0, acknowledge: () => {}, cancel: () => {} }
    }
    const running: Running = { prompt, listener, guard, openedAtMs: this.#now(), deal, positions: 0 }
    line.ended.delete(requestId)
    line.running.set(requestId, running)
    // Registered first: an answer within this very call would otherwise be one to an unknown request.
    if (!line.wire.send(deal ? { ...prompt, evidence: deal.evidence } : prompt)) {
      line.running.delete(requestId)
      deal?.close()
      listener.failed({ code: 'QM_REQUEST_INVALID', message: explainTooLong(prompt) })
    }
    const isOpen = (): boolean => line.running.get(requestId) === running
    return {
      get unacked() {
        return guard.unacked
      },
      acknowledge: (received) => {
        if (!isOpen() || received > guard.received) return
        guard.acknowledged(received)
        line.wire.send({ type: 'ack', requestId, received, ...toEvidence(deal?.tick()) })
      },
      cancel: () => {
        if (!isOpen()) return
        this.#end(line, requestId, 'client')
        line.wire.send({ type: 'cancel', requestId, ...toEvidence(deal?.close()) })
      },
    }
  }

  received(wire: WorkerWire, message: WorkerMessage): Reception {
    // A status is about the worker, not about a request: whoever keeps the directory takes it.
    if (message.type === 'status') return 'ok'
    const line = this.#lines.get(wire)
    // The wire was closed by us; what still comes out of it is nobody's offence.
    if (!line) return 'late'
    // An error about the connection is a farewell: the channel keeps it, and `closed` follows.
    if (message.requestId === undefined) return 'ok'
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
    if (running.guard.received > toResumed(running.prompt)) return 'late'
    running.guard.admitted(status.promptTokens)
    running.deal?.admitted(status.promptTokens)
    running.listener.queued(status)
    return 'ok'
  }

  #response(line: Line, running: Running, response: Response): Reception {
    const wrong = running.guard.check(response)
    if (wrong) return this.#misbehaved(line, running, wrong)
    const { tokens, text, finish, requestId } = response
    running.deal?.took(tokens)
    if (tokens.length > 0 || text.length > 0) running.listener.tokens(tokens, text)
    // The reader may have cancelled while it was handed these tokens.
    if (!finish || line.running.get(requestId) !== running) return 'ok'
    this.#end(line, requestId, 'worker')
    this.#sign(line, running, running.deal?.finish(finish))
    // Megabytes that only the reader wants: whoever keeps facts about the request must not keep them too.
    const { embeddings: _, ...facts } = finish
    running.listener.finished(facts, running.guard.vectors)
    return 'ok'
  }

  #error(line: Line, running: Running, error: InferenceError): Reception {
    const { code, message, retryAfterMs, effort } = error
    this.#end(line, running.prompt.requestId, 'worker')
    const closing = running.deal?.close()
    // What it delivered before it failed is not in vain.
    if (running.guard.received > toResumed(running.prompt)) this.#sign(line, running, closing)
    const taken = toWorkerCode(code)
    running.listener.failed({
      code: taken,
      message: taken === code ? message : `The worker answered with ${code}, which is not a worker's to say.`,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(effort && { effort }),
    })
    return taken === code ? 'ok' : 'violation'
  }

  #misbehaved(line: Line, running: Running, detail: string): Reception {
    const { requestId } = running.prompt
    this.#end(line, requestId, 'client')
    // Without a signature: who breaks the rules has to show that it earned something.
    running.deal?.close()
    line.wire.send({ type: 'cancel', requestId })
    running.listener.failed({
      code: 'QM_WORKER_MISBEHAVED',
      message: `The worker broke the protocol in mid-answer: ${detail}.`,
    })
    return 'violation'
  }

  /** The client's last word on an answer, after its end. */
  #sign(line: Line, { prompt: { requestId }, guard }: Running, evidence: string | undefined): void {
    if (evidence === undefined) return
    line.wire.send({ type: 'ack', requestId, received: guard.received, evidence })
  }

  #toLate(line: Line, requestId: RequestId): Reception {
    const end = line.ended.get(requestId)
    if (!end) {
      if (line.forgottenFrames === 0) return 'violation'
      line.forgottenFrames--
      return 'late'
    }
    if (end.by !== 'client' || end.lateFrames === lateFramesMax) return 'violation'
    end.lateFrames++
    return 'late'
  }

  #end(line: Line, requestId: RequestId, by: Ended['by']): void {
    line.running.delete(requestId)
    line.ended.delete(requestId)
    line.ended.set(requestId, { by, lateFrames: 0 })
    const oldest = line.ended.entries().next()
    if (line.ended.size <= endedMax || oldest.done) return
    const [forgotten, end] = oldest.value
    line.ended.delete(forgotten)
    if (end.by === 'worker') return
    const frames = line.forgottenFrames + lateFramesMax - end.lateFrames
    line.forgottenFrames = Math.min(forgottenFramesMax, frames)
  }
}

/** What it returns, or the error that says why not; a defect is thrown on. */
function tryTo<Value>(step: () => Value): Value | QMeshError {
  try {
    return step()
  } catch (error) {
    if (error instanceof QMeshError) return error
    throw error
  }
}

const toEvidence = (evidence: string | undefined): { evidence?: string } =>
  evidence === undefined ? {} : { evidence }

/** Characters are bounded by the schema; bytes, and what is resumed after, are not. */
function explainTooLong(prompt: Prompt): string {
  const resumed = toResumed(prompt)
  const what = resumed > 0 ? `prompt and the ${resumed} tokens of its answer so far take` : 'prompt takes'
  const advice = resumed > 0 ? 'no other worker can go on with the answer; ask again with less' : 'shorten it'
  return `the ${what} more than the ${limits.frameBytesMax} bytes that one message may have: ${advice}`
}

/** Tokens of the answer that other workers had delivered. */
const toResumed = ({ resume }: Prompt): number => resume?.tokens.length ?? 0
