import { fromCallback } from 'xstate'
import { createRequestId, limits, type ModelAd, type Prompt, type RequestId } from '../../protocol/index.ts'
import {
  progressEveryMs,
  type AttemptEvent,
  type AttemptInput,
  type Failure,
} from '../../machines/request/index.ts'
import type { AnswerLog } from './answer-log.ts'
import type { AttemptListener, Dispatcher, OpenPrompt } from './dispatcher.ts'

/** What an attempt needs to know of the question it is for. */
export interface AttemptJob {
  readonly log: AnswerLog
  /** What to ask a worker with this model: the question, and the answer so far if another worker began it. */
  toPrompt(model: ModelAd): Prompt
  /** The next tokens of the answer, which came at this time. */
  took(tokens: readonly number[], text: string, atMs: number): void
  /** Milliseconds in which the reader, not the worker, was what the answer waited for. */
  held(ms: number): void
}

export interface AttemptPorts {
  readonly dispatcher: Dispatcher
  readonly jobs: ReadonlyMap<RequestId, AttemptJob>
  readonly now: () => number
  /** Tokens that a reader was given, for who wants to explain them later. Must not throw. */
  readonly delivered?: ((requestId: RequestId, tokens: number) => void) | undefined
}

/**
 * More than one acknowledgement is missing: the reader is behind, and the worker may be waiting for it. A reader who
 * keeps up is never further behind than one acknowledgement.
 */
const unackedTokensHeld = limits.unackedTokensMax - limits.ackEveryTokens

/**
 * One prompt at one worker, as an actor: what the dispatcher lets through goes to the reader's log, and the machine hears
 * of the phases. Stopping it cancels the prompt.
 */
export const createAttemptLogic = ({ dispatcher, jobs, now, delivered }: AttemptPorts) =>
  fromCallback<{ type: 'never' }, AttemptInput, AttemptEvent>(({ input, sendBack }) => {
    const { requestId, attempt, choice } = input
    const job = jobs.get(requestId)
    const fail = (failure: Failure): void =>
      sendBack({ type: 'attempt.failed', attempt, tokens: job?.log.tokens ?? 0, ...failure })
    if (!job || !choice) {
      fail({ code: 'QM_INTERNAL' })
      return undefined
    }
    const { log } = job
    let open: OpenPrompt | null = null
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
      queued: ({ position, etaMs, promptTokens }) =>
        sendBack({ type: 'attempt.queued', attempt, position, etaMs, promptTokens }),
      tokens: (tokens, text) => {
        const atMs = now()
        job.took(tokens, text, atMs)
        delivered?.(requestId, tokens.length)
        if (progressedAtMs === undefined) {
          progressedAtMs = atMs
          sendBack({ type: 'attempt.started', attempt, tokens: log.tokens, atMs })
        } else if (atMs - progressedAtMs >= progressEveryMs) {
          progressedAtMs = atMs
          sendBack({ type: 'attempt.progressed', attempt, tokens: log.tokens, atMs })
        }
        updateHold()
      },
      finished: (finish) => sendBack({ type: 'attempt.finished', attempt, finish }),
      failed: fail,
    }
    // A stream may come back to a worker on the same connection: what is still under way there must not look like news.
    const prompt = { ...job.toPrompt(choice.model), ...(attempt > 0 && { requestId: createRequestId() }) }
    open = dispatcher.open(choice.workerId, prompt, listener)
    if (!open) {
      fail({ code: 'QM_WORKER_LOST', message: 'The worker is not connected.' })
      return undefined
    }
    log.onRead = onRead
    return () => {
      if (heldAtMs !== undefined) job.held(now() - heldAtMs)
      log.onRead = undefined
      open?.cancel()
    }
  })
