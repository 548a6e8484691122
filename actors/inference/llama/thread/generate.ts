import { performance } from 'node:perf_hooks'
import { LlamaGrammarEvaluationState } from 'node-llama-cpp'
import type { LlamaGrammar, LlamaModel, SequenceEvaluateOptions, Token } from 'node-llama-cpp'
import { QMeshError, limits, type Sampling } from '../../../../protocol/index.ts'
import type { GenerateRequest, GenerationResult } from '../../engine.port.ts'
import type { GenerationControl } from '../generation-control.ts'
import type { VitalSigns } from '../vital-signs.ts'
import type { Outbox } from './outbox.ts'
import type { Lease } from './sequence-pool.ts'
import { StopFilter } from './stop-strings.ts'
import type { TokenText } from './token-text.ts'

/** What the grammar compiler puts behind the JSON so that the end is visible; it is not part of the answer. */
const jsonEnd = '\n\n\n\n'

export interface Prepared {
  readonly request: GenerateRequest
  readonly prompt: readonly Token[]
  readonly grammar: LlamaGrammar | undefined
}

/** What one generation works with. */
export interface Lane {
  readonly id: number
  readonly prepared: Prepared
  readonly lease: Lease
  readonly model: LlamaModel
  readonly control: GenerationControl
  readonly text: TokenText
  readonly outbox: Outbox
  readonly vitals: VitalSigns
  /** Resolves when the node acknowledged or cancelled while the lane was paused. */
  readonly sleep: () => Promise<void>
}

export interface GenerationEnd {
  readonly result: GenerationResult
  /** What was held back, and is certain now that the answer has ended. */
  readonly lastText: string
}

/**
 * Runs one request on its sequence: prefill, then token by token to the outbox. Looks at the cancel flag between
 * tokens, between the batches of a prefill and while paused.
 *
 * @throws QMeshError `QM_CANCELLED`
 */
export async function generate(lane: Lane): Promise<GenerationEnd> {
  const { prepared, lease, control, text, outbox } = lane
  const { request, prompt } = prepared
  const startedAtMs = performance.now()
  const stops = new StopFilter(prepared.grammar ? [...request.stop, jsonEnd] : request.stop)
  const recent: Token[] = []
  let tokens = 0
  let firstAtMs = startedAtMs
  let lastAtMs = startedAtMs
  const end = (reason: GenerationResult['reason'], lastText: string): GenerationEnd => ({
    lastText,
    result: {
      reason,
      promptTokens: prompt.length,
      cachedTokens: lease.cachedTokens,
      completionTokens: tokens,
      firstTokenMs: Math.round(firstAtMs - startedAtMs),
      totalMs: Math.round(lastAtMs - startedAtMs),
    },
  })

  const rest = await prefill(lane)
  const options = toEvaluateOptions(request.sampling, recent, lane.model, prepared.grammar)
  const drawn = lease.sequence.evaluateWithMetadata(rest, {}, options)
  try {
    for (;;) {
      const step = await lane.vitals.native(() => drawn.next())
      throwIfCancelled(control)
      if (step.done) return end('stop', stops.push(text.flush()).text + stops.flush())
      const { token } = step.value
      lastAtMs = performance.now()
      if (tokens++ === 0) firstAtMs = lastAtMs
      remember(recent, token, request.sampling.repeatLastTokens)
      const certain = stops.push(text.push(token))
      outbox.add(lane.id, token, certain.text, lastAtMs)
      if (certain.stoppedBy !== undefined) {
        return end(certain.stoppedBy === jsonEnd && prepared.grammar ? 'stop' : 'stop-string', '')
      }
      if (tokens >= request.maxTokens) return end('length', stops.push(text.flush()).text + stops.flush())
      await pauseWhileUnread(lane, tokens)
    }
  } finally {
    await drawn.return()
  }
}

/** Reads all of the prompt but its last batch, one batch at a time, and returns what is left. */
async function prefill({ prepared, lease, control, vitals }: Lane): Promise<Token[]> {
  const { sequence } = lease
  const { batchSize } = sequence.context
  let rest = prepared.prompt.slice(lease.cachedTokens)
  while (rest.length > batchSize) {
    throwIfCancelled(control)
    const batch = rest.slice(0, batchSize)
    await vitals.native(() => sequence.evaluateWithoutGeneratingNewTokens(batch))
    rest = rest.slice(batchSize)
  }
  throwIfCancelled(control)
  return rest
}

/** Only this lane waits: a sequence that asks for no token is simply not in the next batch. */
async function pauseWhileUnread({ control, sleep, outbox }: Lane, tokens: number): Promise<void> {
  while (tokens - control.acknowledged >= limits.unackedTokensMax) {
    // What the reader is to acknowledge must have left.
    outbox.flush()
    control.isPaused = true
    const isNews = tokens - control.acknowledged < limits.unackedTokensMax || control.isCancelled
    if (!isNews) await sleep()
    control.isPaused = false
    throwIfCancelled(control)
  }
}

function throwIfCancelled(control: GenerationControl): void {
  if (control.isCancelled) throw new QMeshError('QM_CANCELLED')
}

function remember(recent: Token[], token: Token, max: number): void {
  recent.push(token)
  if (recent.length > max) recent.shift()
}

function toEvaluateOptions(
  sampling: Sampling,
  recent: Token[],
  model: LlamaModel,
  grammar: LlamaGrammar | undefined,
): SequenceEvaluateOptions {
  const { temperature, topK, topP, minP, repeatPenalty, repeatLastTokens, seed } = sampling
  return {
    temperature,
    topK,
    topP,
    minP,
    // Absent, the library would take the time in seconds: equal for all requests of one second.
    seed: seed ?? Math.floor(Math.random() * 0xffff_ffff),
    ...(repeatPenalty !== 1 &&
      repeatLastTokens > 0 && {
        // Only tokens of the answer: a prompt's own control tokens are not repetition.
        repeatPenalty: {
          penalty: repeatPenalty,
          punishTokens: () => recent,
          maxPunishTokens: repeatLastTokens,
        },
      }),
    ...(grammar && { grammarEvaluationState: new LlamaGrammarEvaluationState({ model, grammar }) }),
  }
}
