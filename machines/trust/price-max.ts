import type { Prompt } from '../../protocol/index.ts'
import type { TrustParams } from './params.ts'
import { toPrice } from './points.ts'

/** Tokens of template around a prompt, and around each of its messages; no tokenizer makes more tokens than bytes. */
const templateTokens = 64
const templateTokensPerMessage = 16
/** Tokens of an answer that an offer must cover; what a longer one costs beyond may be the worker's gift. */
const coveredTokensMax = 256

export type PricedPrompt = Pick<Prompt, 'messages' | 'prompt'>

/** The most that an answer of `maxOut` tokens can cost, in milli-credits: the tokens of the prompt are not known yet. */
export function toPriceMax(prompt: PricedPrompt, maxOut: number, params: TrustParams): number {
  return toPrice(toPromptTokensMax(prompt), maxOut, params)
}

/** The least that an offer for it must cover, in milli-credits. */
export function toPriceMin(prompt: PricedPrompt, maxOut: number, params: TrustParams): number {
  return toPriceMax(prompt, Math.min(maxOut, coveredTokensMax), params)
}

/**
 * The most tokens of a prompt that count, whatever a model's template puts around its text. A client has no tokenizer:
 * without this bound a worker could state any number.
 */
export function toPromptTokensMax({ messages = [], prompt = '' }: PricedPrompt): number {
  const bytes = [prompt, ...messages.map(({ content }) => content)].reduce(
    (sum, text) => sum + utf8Bytes(text),
    0,
  )
  return bytes + templateTokens + templateTokensPerMessage * messages.length
}

const encoder = new TextEncoder()
const utf8Bytes = (text: string): number => encoder.encode(text).byteLength
