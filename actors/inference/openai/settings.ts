import type { PeerId } from '../../../protocol/index.ts'

/** Where the engine is, and what it wants to see before it answers. */
export interface OpenAiEngineOptions {
  /** Beginning of the addresses of its API, such as `http://127.0.0.1:11434/v1`. */
  readonly url: string
  /** Sent as a bearer token, to this address only, and never shown. */
  readonly key?: string | undefined
  /** The node that asks: a gateway that knows it is no engine for it. */
  readonly selfId?: PeerId | undefined
  /** For the owner: never with text of a prompt or an answer, and never with the key. */
  readonly onLog?: ((level: 'debug' | 'warn', message: string) => void) | undefined
  readonly patience?: Partial<Patience> | undefined
}

/** How long the engine is believed, in milliseconds. */
export interface Patience {
  /** For its list of models. */
  readonly listMs: number
  /** For the first word to a first question; a model may still be on its way into memory after that. */
  readonly trialMs: number
  /** From a request to its first word: the engine may have to load the model first, and others may be before it. */
  readonly firstMs: number
  /** Between two words. A comment is no word. */
  readonly gapMs: number
  /** For the figures that follow the last word. */
  readonly usageMs: number
  /** Between two looks whether it is still there. */
  readonly lookEveryMs: number
}

export const defaultPatience: Patience = {
  listMs: 4_000,
  trialMs: 8_000,
  firstMs: 300_000,
  gapMs: 60_000,
  usageMs: 500,
  lookEveryMs: 5_000,
}

/** What an answer of the engine may take. What is beyond is a fault of the engine, and ends the request. */
export const engineBounds = {
  /** Bytes of an answer that is read whole: a list of models, an error. */
  wholeBytesMax: 1024 * 1024,
  /** Characters of one line of a stream. */
  lineCharsMax: 256 * 1024,
  /** Bytes of a stream, for each token that was asked for, beside a first part. A token takes 200 to 400. */
  streamBytesPerToken: 4_096,
  streamBytes: 1024 * 1024,
  /** Events of a stream, for each token that was asked for, beside a first part: thoughts that are not shown count. */
  eventsPerToken: 4,
  events: 4_096,
  /** Characters of what the engine says that are repeated to its owner. */
  quoteChars: 200,
} as const
