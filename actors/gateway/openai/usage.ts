import type { AnswerResult } from '../../request/answer.ts'
import type { Usage } from './wire.ts'

/** Tokens of all answers of a call. A prompt that is asked several times counts once, as OpenAI counts it. */
export function toUsage(results: readonly AnswerResult[], prompts = 1): Usage {
  const perPrompt = results.length / prompts
  const isFirst = (index: number): boolean => index % perPrompt === 0
  const sum = (pick: (result: AnswerResult) => number, isCounted = (_: number): boolean => true): number =>
    results.reduce((total, result, index) => total + (isCounted(index) ? pick(result) : 0), 0)
  const promptTokens = sum(({ usage }) => usage.promptTokens, isFirst)
  const completionTokens = sum(({ usage }) => usage.completionTokens)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: sum(({ usage }) => usage.cachedTokens, isFirst) },
  }
}

export const toChatFinish = (result: AnswerResult): 'stop' | 'length' | 'tool_calls' =>
  result.finishReason === 'toolCalls' ? 'tool_calls' : toFinishReason(result)

/** A stop string ends a turn like any other end, for OpenAI. */
export const toFinishReason = ({ finishReason }: AnswerResult): 'stop' | 'length' =>
  finishReason === 'length' ? 'length' : 'stop'

/** Equal fingerprints mean equal weights: same seed, same prompt and the same fingerprint give the same answer. */
export const toFingerprint = ({ modelHash }: AnswerResult): string => `qmesh_${modelHash.slice(0, 16)}`

export const nowSeconds = (): number => Math.floor(Date.now() / 1_000)
