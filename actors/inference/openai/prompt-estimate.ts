import type { GenerateRequest } from '../engine.port.ts'

/** Bytes of UTF-8 that a token stands for, until the engine has said what its tokens are: rather too few than too many. */
const bytesPerToken = 3
/** Tokens that a template puts around each message. */
const tokensPerMessage = 4
/** No tokenizer of today does less or more with ordinary text. */
const believed = { min: 1, max: 8 } as const
/** Bytes below which a template weighs more than the text. */
const telling = 256
/** Weight of the newest measurement. */
const newestWeight = 0.2

/**
 * Tokens of prompts, guessed from their bytes: the tokenizer is the engine's, and it tells the number only when an answer
 * ends. From those numbers the guess learns; it is rounded up, and remains a guess.
 */
export class PromptEstimate {
  #bytesPerToken: number = bytesPerToken

  /** Of the prompt without what there is of the answer; at least 1. */
  count(request: GenerateRequest): number {
    const bytes = toBytes(request)
    const messages = request.messages?.length ?? 0
    return Math.max(1, Math.ceil(bytes / this.#bytesPerToken) + tokensPerMessage * messages)
  }

  /** The engine counted so many, the beginning of the answer included. Nonsense teaches nothing. */
  learn(request: GenerateRequest, tokens: number): void {
    const bytes = toBytes(request) + Buffer.byteLength(request.resume?.text ?? '')
    const ofText = tokens - tokensPerMessage * (request.messages?.length ?? 0)
    if (ofText < 1 || bytes < telling) return
    const seen = Math.min(believed.max, Math.max(believed.min, bytes / ofText))
    this.#bytesPerToken += newestWeight * (seen - this.#bytesPerToken)
  }
}

const toBytes = ({ messages, prompt = '', embed }: GenerateRequest): number =>
  (embed ?? messages?.map(({ content }) => content) ?? [prompt]).reduce(
    (sum, text) => sum + Buffer.byteLength(text),
    0,
  )
