import { z } from 'zod'
import {
  defaultSampling,
  embedTextsSchema,
  limits,
  promptSchema,
  type ModelAd,
  type Prompt,
  type RequestId,
} from '../../protocol/index.ts'
import { askOptionsSchema, invalid, parse, type Question } from './ask-options.ts'

const embedOptionsSchema = askOptionsSchema
  .pick({
    /** Which model; absent: any that makes embeddings. */
    model: true,
    /** Exactly these weights: only vectors of the same weights can be compared. */
    modelHash: true,
    signal: true,
    /** Milliseconds for the whole list. */
    deadlineMs: true,
    discoverMs: true,
    attemptsMax: true,
    localOnly: true,
    traceparent: true,
  })
  .extend({
    /** Numbers in each vector, where not any will do. */
    size: z.number().int().min(1).max(limits.embeddingSizeMax).optional(),
  })

export type EmbedOptions = {
  [Key in keyof z.input<typeof embedOptionsSchema>]: z.input<typeof embedOptionsSchema>[Key]
}

/** @throws QMeshError `QM_REQUEST_INVALID`, naming the option that is wrong */
export const checkEmbedOptions = (given: EmbedOptions): z.output<typeof embedOptionsSchema> =>
  parse(embedOptionsSchema, given, 'option')

/** Bytes of a prompt that are left for its texts: the names of the request and of its model take less than the rest. */
const textBytesMax = limits.frameBytesMax - 4_096

/**
 * Cuts a list into parts that each fit one prompt, as few as there can be without changing the order.
 *
 * @throws QMeshError `QM_REQUEST_INVALID`, naming the text that is empty or too long
 */
export function toParts(texts: readonly string[]): (readonly string[])[] {
  if (texts.length === 0) throw invalid('texts: an empty list; give at least one text')
  const parts: string[][] = []
  let chars = 0
  let bytes = 0
  for (const [index, text] of texts.entries()) {
    const name = `text ${index + 1} of ${texts.length}`
    if (typeof text !== 'string' || text === '')
      throw invalid(`${name}: is ${text === '' ? 'empty' : 'no string'}`)
    const size = Buffer.byteLength(JSON.stringify(text)) + 1
    if (text.length > limits.promptCharsMax || size > textBytesMax) {
      throw invalid(
        `${name}: has ${text.length} characters and ${size} bytes, at most ${limits.promptCharsMax} and ${textBytesMax} fit one prompt`,
      )
    }
    const part = parts.at(-1)
    chars += text.length
    bytes += size
    if (
      part &&
      part.length < limits.embedTextsMax &&
      chars <= limits.promptCharsMax &&
      bytes <= textBytesMax
    ) {
      part.push(text)
    } else {
      parts.push([text])
      chars = text.length
      bytes = size
    }
  }
  return parts
}

/** One part of a list as a request like any other. */
export function toEmbedQuestion(
  requestId: RequestId,
  texts: readonly string[],
  { size, ...options }: ReturnType<typeof checkEmbedOptions>,
): Question {
  const embed = parse(embedTextsSchema, [...texts], 'texts')
  const toPrompt = ({ id, hash }: ModelAd, deadlineMs: number | undefined): Prompt =>
    parse(
      promptSchema,
      {
        type: 'prompt',
        requestId,
        modelId: id,
        modelHash: hash,
        embed,
        // Nothing is drawn, and nothing written.
        sampling: defaultSampling,
        maxTokens: 1,
        ...(deadlineMs !== undefined && { deadlineMs }),
      },
      'prompt',
    )
  const chars = texts.reduce((sum, { length }) => sum + length, 0)
  return {
    requestId,
    options,
    promptTokens: Math.ceil(chars / 3),
    promptTokensMax: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 1_024),
    // Nothing of a text stays in a cache.
    affinityKey: undefined,
    embedding: size ?? 'any',
    modelId: options.model,
    modelHash: options.modelHash,
    seed: undefined,
    toPrompt,
  }
}
