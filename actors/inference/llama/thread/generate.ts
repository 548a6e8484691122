import { performance } from 'node:perf_hooks'
import type { LlamaGrammarEvaluationState, LlamaModel, SequenceEvaluateOptions, Token } from 'node-llama-cpp'
import { QMeshError, limits, type ResumeMode } from '../../../../protocol/index.ts'
import type { GenerateRequest, GenerationResult } from '../../engine.port.ts'
import type { GenerationControl } from '../generation-control.ts'
import type { VitalSigns } from '../vital-signs.ts'
import type { AnswerText, TakenUp } from './answer-text.ts'
import type { CallGate } from './call-gate.ts'
import type { Outbox } from './outbox.ts'
import type { Lease } from './sequence-pool.ts'

/** What the grammar compiler puts behind the JSON so that the end is visible; it is not part of the answer. */
export const jsonEnd = '\n\n\n\n'

/** A request with everything about it that needs no slot. */
export interface Prepared {
  readonly request: GenerateRequest
  readonly prompt: readonly Token[]
  readonly text: AnswerText
  /** How far the answer is in its grammar. */
  readonly grammar: LlamaGrammarEvaluationState | undefined
  /** Of an answer that may call functions: from where on a grammar holds. */
  readonly gate: CallGate | undefined
  /** What of the answer another worker has given already. */
  readonly taken: Taken | undefined
}

export interface Taken extends TakenUp {
  readonly tokens: readonly Token[]
  readonly mode: ResumeMode
}

/** What one generation works with. */
export interface Lane {
  readonly id: number
  readonly prepared: Prepared
  readonly lease: Lease
  readonly model: LlamaModel
  readonly control: GenerationControl
  readonly outbox: Outbox
  readonly vitals: VitalSigns
  /** Resolves when the node acknowledged or cancelled while the lane was paused. */
  readonly sleep: () => Promise<void>
}

export interface GenerationEnd {
  readonly result: GenerationResult
  /** What was held back, and is certain now that the answer has ended. */
  readonly lastText: string
  /** Milliseconds between two tokens, without the time in which the reader was waited for; undefined for fewer. */
  readonly tokenMs: number | undefined
}

/**
 * Runs one request on its sequence: prefill, then token by token to the outbox. Looks at the cancel flag between
 * tokens, between the batches of a prefill and while paused.
 *
 * @throws QMeshError `QM_CANCELLED`
 */
export async function generate(lane: Lane): Promise<GenerationEnd> {
  const { prepared, lease, control, outbox, vitals, model } = lane
  const { request, prompt, text, taken } = prepared
  const startedAtMs = performance.now()
  const recent: Token[] = []
  let tokens = taken?.tokens.length ?? 0
  let owed = taken?.owed ?? ''
  let firstAtMs: number | undefined
  let lastAtMs = startedAtMs
  let drawnHere = 0
  let pausedMs = 0
  /** The same since the last token: it counts when another one follows. */
  let waitedMs = 0
  const end = (reason: GenerationResult['reason'], lastText: string): GenerationEnd => ({
    lastText: owed + lastText,
    result: {
      reason,
      promptTokens: prompt.length,
      cachedTokens: Math.min(lease.cachedTokens, prompt.length),
      completionTokens: tokens,
      ...(taken && { resumeMode: taken.mode }),
      firstTokenMs: Math.round((firstAtMs ?? lastAtMs) - startedAtMs),
      totalMs: Math.round(lastAtMs - startedAtMs),
    },
    tokenMs: drawnHere < 2 ? undefined : (lastAtMs - (firstAtMs ?? lastAtMs) - pausedMs) / (drawnHere - 1),
  })
  const endOfTurn = (): GenerationEnd => end('stop', text.flush())

  // The worker before this one was lost with nothing left to say but the end.
  if (taken?.stoppedBy !== undefined) return stopped(taken.stoppedBy)
  if (tokens >= request.maxTokens) return end('length', text.flush())
  if (taken?.hasEnded) return endOfTurn()
  control.acknowledge(tokens)

  const rest = await prefill(lane)
  const options = toEvaluateOptions(prepared, recent)
  const drawn = lease.sequence.evaluateWithMetadata(rest, {}, options)
  try {
    let replaced = await replay(lane, drawn, recent)
    for (;;) {
      const step = await vitals.native(() => drawn.next(replaced))
      replaced = undefined
      throwIfCancelled(control)
      if (step.done || model.isEogToken(step.value.token)) return endOfTurn()
      const { token } = step.value
      lastAtMs = performance.now()
      firstAtMs ??= lastAtMs
      tokens++
      drawnHere++
      pausedMs += waitedMs
      remember(recent, token, request.sampling.repeatLastTokens)
      const certain = text.push(token)
      outbox.add(lane.id, token, owed + certain.text, lastAtMs)
      owed = ''
      if (certain.stoppedBy !== undefined) return stopped(certain.stoppedBy)
      if (tokens >= request.maxTokens) return end('length', text.flush())
      waitedMs = await pauseWhileUnread(lane, tokens)
    }
  } finally {
    await drawn.return()
  }

  function stopped(by: string): GenerationEnd {
    return end(by === jsonEnd && prepared.grammar ? 'stop' : 'stop-string', '')
  }
}

/** An exact resume draws the tokens once more, unless a grammar has gone through them already. */
const isDrawnAgain = (taken: Taken | undefined, grammar: Prepared['grammar']): boolean =>
  taken?.mode === 'exact' && !grammar

/** The tokens that the slot must have read before it draws: what `SequencePool` looks for in the caches. */
export const toContext = ({ prompt, taken }: Prepared): readonly Token[] =>
  taken?.mode === 'fast' ? [...prompt, ...taken.tokens] : prompt

/** Reads all of the context but its last batch, one batch at a time, and returns what is left. */
async function prefill({ prepared, lease, control, vitals }: Lane): Promise<Token[]> {
  const { sequence } = lease
  const { batchSize } = sequence.context
  let rest = toContext(prepared).slice(lease.cachedTokens)
  while (rest.length > batchSize) {
    throwIfCancelled(control)
    const batch = rest.slice(0, batchSize)
    await vitals.native(() => sequence.evaluateWithoutGeneratingNewTokens(batch))
    rest = rest.slice(batchSize)
  }
  throwIfCancelled(control)
  if (!prepared.grammar || prepared.taken?.mode !== 'exact') return rest
  // A grammar has gone through these tokens already; drawing them again would move it on twice.
  for (const token of prepared.taken.tokens) {
    await vitals.native(() => sequence.evaluateWithoutGeneratingNewTokens(rest))
    throwIfCancelled(control)
    rest = [token]
  }
  return rest
}

type Drawn = ReturnType<Lease['sequence']['evaluateWithMetadata']>

/**
 * Draws the tokens of an exact resume once more, one at a time as their first worker did, and puts the ones that the
 * reader has in the place of what was drawn: batches, and the random numbers, are then those of an undisturbed run.
 *
 * @returns the last of them, which is yet to be read
 */
async function replay(
  { prepared: { taken, request, grammar, gate }, control, vitals }: Lane,
  drawn: Drawn,
  recent: Token[],
): Promise<Token | undefined> {
  if (!taken || !isDrawnAgain(taken, grammar)) {
    for (const token of taken?.tokens ?? []) remember(recent, token, request.sampling.repeatLastTokens)
    return undefined
  }
  let last: Token | undefined
  gate?.beginReplay()
  for (const token of taken.tokens) {
    await vitals.native(() => drawn.next(last))
    throwIfCancelled(control)
    gate?.replayed(token)
    remember(recent, token, request.sampling.repeatLastTokens)
    last = token
  }
  gate?.endReplay()
  return last
}

/**
 * Only this lane waits: a sequence that asks for no token is simply not in the next batch.
 *
 * @returns how long, in milliseconds
 */
async function pauseWhileUnread({ control, sleep, outbox }: Lane, tokens: number): Promise<number> {
  if (tokens - control.acknowledged < limits.unackedTokensMax) return 0
  const sinceMs = performance.now()
  while (tokens - control.acknowledged >= limits.unackedTokensMax) {
    // What the reader is to acknowledge must have left.
    outbox.flush()
    control.isPaused = true
    const isNews = tokens - control.acknowledged < limits.unackedTokensMax || control.isCancelled
    if (!isNews) await sleep()
    control.isPaused = false
    throwIfCancelled(control)
  }
  return performance.now() - sinceMs
}

function throwIfCancelled(control: GenerationControl): void {
  if (control.isCancelled) throw new QMeshError('QM_CANCELLED')
}

function remember(recent: Token[], token: Token, max: number): void {
  recent.push(token)
  if (recent.length > max) recent.shift()
}

function toEvaluateOptions(
  { request, grammar, gate, taken }: Prepared,
  recent: Token[],
): SequenceEvaluateOptions {
  const { temperature, topK, topP, minP, repeatPenalty, repeatLastTokens, seed } = request.sampling
  return {
    temperature,
    topK,
    topP,
    minP,
    // Absent, the library would take the time in seconds: equal for all requests of one second.
    seed: toSeed(seed ?? Math.floor(Math.random() * 0xffff_ffff), taken, isDrawnAgain(taken, grammar)),
    // An end that is drawn while a known token is replayed must not end the drawing.
    yieldEogToken: true,
    ...(repeatPenalty !== 1 &&
      repeatLastTokens > 0 && {
        // Only tokens of the answer: a prompt's own control tokens are not repetition.
        repeatPenalty: {
          penalty: repeatPenalty,
          punishTokens: () => recent,
          maxPunishTokens: repeatLastTokens,
        },
      }),
    ...(grammar && { grammarEvaluationState: grammar }),
    ...(gate && { grammarEvaluationState: () => gate.drawState }),
  }
}

/**
 * Only tokens that are drawn again use up the random numbers of the first worker. Where they are read instead, the same
 * numbers from the start would repeat what they drew.
 */
const toSeed = (seed: number, taken: Taken | undefined, isDrawnAgain: boolean): number =>
  taken && !isDrawnAgain ? (seed + taken.tokens.length) % 2 ** 32 : seed
