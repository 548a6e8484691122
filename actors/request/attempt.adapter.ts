import { fromCallback } from 'xstate'
import {
  createRequestId,
  type Effort,
  limits,
  type ModelAd,
  type Prompt,
  type RequestId,
} from '../../protocol/index.ts'
import { toEffortMs } from '../../machines/trust/index.ts'
import {
  progressEveryMs,
  type AttemptEvent,
  type AttemptInput,
  type Failure,
} from '../../machines/request/index.ts'
import type { AnswerLog } from './answer-log.ts'
import type { AttemptListener, Dispatcher, OpenPrompt, PromptFailure } from './dispatcher.ts'
import type { EffortPort } from './effort-desk.ts'
import type { RequestTracer } from './request-tracer.port.ts'

/** What an attempt needs to know of the question it is for. */
export interface AttemptJob {
  readonly log: AnswerLog
  /** What to ask a worker with this model: the question, and the answer so far if another worker began it. */
  toPrompt(model: ModelAd): Prompt
  /** The next tokens of the answer, which came at this time. */
  took(tokens: readonly number[], text: string, atMs: number): void
  /** Milliseconds in which the reader, not the worker, was what the answer waited for. */
  held(ms: number): void
  /** What was asked for, where that is not text. */
  embedded(vectors: readonly Float32Array[]): void
}

export interface AttemptPorts {
  readonly dispatcher: Dispatcher
  readonly jobs: ReadonlyMap<RequestId, AttemptJob>
  readonly now: () => number
  /** Work that workers ask for; absent: nothing is done for them. */
  readonly effort?: EffortPort | undefined
  /** Tokens that a reader was given, for who wants to explain them later. Must not throw. */
  readonly delivered?: ((requestId: RequestId, tokens: number) => void) | undefined
  /** Absent: nothing is traced. */
  readonly tracer?: Pick<RequestTracer, 'asking'> | undefined
}

/**
 * More than one acknowledgement is missing: the reader is behind, and the worker may be waiting for it. A reader who
 * keeps up is never further behind than one acknowledgement.
 */
const unackedTokensHeld = limits.unackedTokensMax - limits.ackEveryTokens

/** Prompts of one attempt that a worker may turn down for want of work. */
const refusalsMax = 2
/** Milliseconds of work that a worker need not have announced … */
const surpriseMsMax = 2_000
/** … and bits more than it had: they rise by one every few seconds. */
const surpriseBitsMax = 2
/** Milliseconds in which a worker takes what it asked for at their beginning, or at least half of them. */
const graceMs = 2_500

/**
 * One prompt at one worker, as an actor: what the dispatcher lets through goes to the reader's log, and the machine hears
 * of the phases. Stopping it cancels the prompt.
 */
export const createAttemptLogic = ({ dispatcher, jobs, now, effort, ...ports }: AttemptPorts) =>
  fromCallback<{ type: 'never' }, AttemptInput, AttemptEvent>(({ input, sendBack }) => {
    const { requestId, attempt, choice } = input
    const job = jobs.get(requestId)
    const fail = ({ code, message, retryAfterMs }: Failure): void =>
      sendBack({
        type: 'attempt.failed',
        attempt,
        tokens: job?.log.tokens ?? 0,
        code,
        message,
        retryAfterMs,
      })
    if (!job || !choice) {
      fail({ code: 'QM_INTERNAL' })
      return undefined
    }
    const { log } = job
    const { workerId, model } = choice
    const traceparent = ports.tracer?.asking(requestId, attempt, choice)
    let open: OpenPrompt | null = null
    let stopWork = (): void => {}
    let isAdmitted = false
    let refusals = 0
    /** Bits that the latest prompt was worked for. */
    let worked = 0
    let progressedAtMs: number | undefined
    let heldAtMs: number | undefined

    const updateHold = (): void => {
      const isBehind = (open?.unacked ?? 0) > unackedTokensHeld
      if (isBehind === (heldAtMs !== undefined)) return
      if (heldAtMs === undefined) {
        heldAtMs = now()
        sendBack({ type: 'attempt.held', attempt })
        return
      }
      job.held(now() - heldAtMs)
      heldAtMs = undefined
      sendBack({ type: 'attempt.resumed', attempt })
    }
    const onRead = (read: number): void => {
      if (!open) return
      const acked = log.tokens - open.unacked
      if (read - acked >= limits.ackEveryTokens) open.acknowledge(read)
      updateHold()
    }
    const listener: AttemptListener = {
      queued: ({ position, etaMs, promptTokens }) => {
        isAdmitted = true
        sendBack({ type: 'attempt.queued', attempt, position, etaMs, promptTokens })
      },
      tokens: (tokens, text) => {
        isAdmitted = true
        const atMs = now()
        job.took(tokens, text, atMs)
        ports.delivered?.(requestId, tokens.length)
        if (progressedAtMs === undefined) {
          progressedAtMs = atMs
          sendBack({ type: 'attempt.started', attempt, tokens: log.tokens, atMs })
        } else if (atMs - progressedAtMs >= progressEveryMs) {
          progressedAtMs = atMs
          sendBack({ type: 'attempt.progressed', attempt, tokens: log.tokens, atMs })
        }
        updateHold()
      },
      finished: (finish, vectors) => {
        if (vectors) job.embedded(vectors)
        sendBack({ type: 'attempt.finished', attempt, finish })
      },
      failed: (failure) => {
        if (!effort || isAdmitted || !isWorthIt(failure)) fail(failure)
        else work(effort, failure.effort, createRequestId())
      },
    }
    /** Whether so many bits are not much more than what was known. */
    const isFair = (bits: number, known: number): boolean =>
      bits <= known + surpriseBitsMax || toEffortMs(bits) <= surpriseMsMax
    /** Whether the worker only wants to see some work, and not much more than it let us know. */
    const isWorthIt = (failure: PromptFailure): failure is PromptFailure & { effort: Effort } => {
      const { code, effort: wanted } = failure
      if (code !== 'QM_EFFORT_REQUIRED' || !wanted) return false
      effort?.insisted(workerId, wanted)
      return isFair(wanted.bits, worked) && ++refusals <= refusalsMax
    }
    const send = (promptId: RequestId, effortNonce?: string): void => {
      const prompt = {
        ...job.toPrompt(model),
        requestId: promptId,
        ...(effortNonce !== undefined && { effortNonce }),
        ...(traceparent !== undefined && { traceparent }),
      }
      open = dispatcher.open(workerId, prompt, listener, model.embeddingSize)
      if (!open) fail({ code: 'QM_WORKER_LOST', message: 'The worker is not connected.' })
    }
    const work = (port: EffortPort, first: Effort, requestId: RequestId): void => {
      const beganAtMs = now()
      let isGreedy = false
      const asked = (): Effort | undefined => {
        const latest = port.asked(workerId)
        const isFresh = latest?.seed === first.seed && now() - beganAtMs < graceMs
        const wanted = latest && isFresh ? { ...latest, bits: Math.min(first.bits, latest.bits) } : latest
        worked = wanted?.bits ?? 0
        isGreedy = wanted !== undefined && !isFair(wanted.bits, first.bits)
        return isGreedy ? undefined : wanted
      }
      sendBack({ type: 'attempt.solving', attempt, bits: first.bits, etaMs: toEffortMs(first.bits) })
      stopWork = port.search({
        workerId,
        requestId,
        // Where nobody is any more, there is nothing to work for: the prompt finds that out.
        asked: () => (dispatcher.isConnected(workerId) ? asked() : undefined),
        done: (nonce) => {
          if (isGreedy) {
            fail({
              code: 'QM_EFFORT_REQUIRED',
              message: 'The worker asks for much more work than when it was begun.',
            })
            return
          }
          sendBack({ type: 'attempt.solved', attempt, ms: Math.max(0, now() - beganAtMs) })
          send(requestId, nonce)
        },
      })
    }
    const begin = (requestId: RequestId): void => {
      const asked = effort?.asked(workerId)
      if (effort && asked) work(effort, asked, requestId)
      else send(requestId)
    }
    // A stream may come back to a worker on the same connection: what is still under way there must not look like news.
    begin(attempt > 0 ? createRequestId() : requestId)
    log.onRead = onRead
    return () => {
      if (heldAtMs !== undefined) job.held(now() - heldAtMs)
      log.onRead = undefined
      stopWork()
      open?.cancel()
    }
  })
