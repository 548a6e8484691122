import { createHash, randomInt } from 'node:crypto'
import { z } from 'zod'
import type { KindNeeds } from '../../machines/selection/index.ts'
import {
  charsOfMessage,
  chatMessageSchema,
  findToolTurnFault,
  limits,
  modelHashSchema,
  modelIdSchema,
  promptSchema,
  QMeshError,
  resumeModes,
  samplingSchema,
  traceparentSchema,
  type ChatMessage,
  type ModelAd,
  type ModelHash,
  type ModelId,
  type Prompt,
  type RequestId,
} from '../../protocol/index.ts'
import { toJsonSchema } from './json-schema-option.ts'
import { toolOptions, toToolQuestion, type CallReading } from './ask-tools.ts'

const { temperature, topK, topP, minP, repeatPenalty, repeatLastTokens, seed } = samplingSchema.shape

/** Tokens of an answer when nobody says: at most half of the model's context. */
const defaultMaxTokens = 512

const durationMs = z.number().int().min(1).max(limits.durationMsMax)

export const askOptionsSchema = z.strictObject({
  /** Which model; absent: any. */
  model: modelIdSchema.optional(),
  /** Exactly these weights. */
  modelHash: modelHashSchema.optional(),
  /** Most tokens of the answer; default 512, less where the model's context is small. */
  maxTokens: promptSchema.shape.maxTokens.optional(),
  temperature: temperature.optional(),
  topK: topK.optional(),
  topP: topP.optional(),
  minP: minP.optional(),
  repeatPenalty: repeatPenalty.optional(),
  repeatLastTokens: repeatLastTokens.optional(),
  seed,
  /** The answer ends before any of these. */
  stop: promptSchema.shape.stop.optional(),
  /** JSON schema the answer satisfies, as an object or as JSON text. */
  jsonSchema: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
  ...toolOptions,
  /** A string is continued as it is, without the model's chat template. */
  raw: z.boolean().optional(),
  /** Cancels the request. */
  signal: z.instanceof(AbortSignal).optional(),
  /** Milliseconds for the whole request, from the question to the last token. */
  deadlineMs: durationMs.optional(),
  /**
   * Milliseconds to wait for a worker to appear: for a first one, or to go on with an answer that was cut off. They begin
   * anew while requests that wait for longer get their turn.
   */
  discoverMs: durationMs.optional(),
  /** Workers tried before giving up. */
  attemptsMax: z.number().int().min(1).max(limits.peersMax).optional(),
  /** How another worker goes on when one is lost: as if nothing had happened, or quickly. Absent: what costs less. */
  resume: z.enum(resumeModes).optional(),
  /** Only this node's own worker. */
  localOnly: z.boolean().optional(),
  /** The step of the caller's trace, as W3C's header says it; without effect in a node that traces nothing. */
  traceparent: traceparentSchema.optional(),
})

export type AskOptions = {
  [Key in keyof z.input<typeof askOptionsSchema>]: z.input<typeof askOptionsSchema>[Key]
}

/** A question that was checked: everything of it but the worker. */
export interface Question extends KindNeeds {
  readonly requestId: RequestId
  readonly options: Pick<
    z.output<typeof askOptionsSchema>,
    | 'maxTokens'
    | 'signal'
    | 'deadlineMs'
    | 'discoverMs'
    | 'attemptsMax'
    | 'resume'
    | 'localOnly'
    | 'traceparent'
  >
  /** Tokens of the prompt, estimated from its characters. */
  readonly promptTokens: number
  /** Tokens that the prompt cannot have more of, whatever a worker says. */
  readonly promptTokensMax: number
  /** Same for every turn of one conversation; undefined where there is none. */
  readonly affinityKey: string | undefined
  readonly modelId: ModelId | undefined
  readonly modelHash: ModelHash | undefined
  readonly seed: number | undefined
  /** How calls of functions are found in the answer; undefined: there are none. */
  readonly reading?: CallReading | undefined
  /** Only a model that knows functions will do. */
  readonly needsTools?: boolean | undefined
  toPrompt(model: ModelAd, deadlineMs: number | undefined): Prompt
}

/**
 * Checks what a user asks, naming the option that is wrong.
 *
 * @throws QMeshError `QM_REQUEST_INVALID`
 */
export function toQuestion(
  requestId: RequestId,
  input: string | readonly ChatMessage[],
  given: AskOptions = {},
): Question {
  const options = parse(askOptionsSchema, given, 'option')
  const isRaw = typeof input === 'string' && options.raw === true
  if (options.raw === true && !isRaw) throw invalid('option "raw": needs a string, not chat messages')
  const messages = typeof input === 'string' ? [{ role: 'user' as const, content: input }] : input
  const body = isRaw ? { prompt: input } : { messages: parse(messagesSchema, messages, 'message') }
  if (isRaw && options.tools) throw invalid('option "tools": needs chat messages, not "raw"')
  const turnFault = findToolTurnFault(messages)
  if (turnFault) throw invalid(`message "${turnFault.index}": ${turnFault.detail}`)
  const jsonSchema =
    options.jsonSchema === undefined ? undefined : toJsonSchema(options.jsonSchema, 'jsonSchema')
  const tools = toToolQuestion(options, messages, (schema, name) =>
    toJsonSchema(schema, `tools.${name}.parameters`),
  )
  // Drawn here rather than by the worker, so that every attempt, and the reader, knows it.
  const isGreedy = options.temperature === 0
  const seed = options.seed ?? (isGreedy ? undefined : randomInt(2 ** 32))
  const { temperature, topK, topP, minP, repeatPenalty, repeatLastTokens } = options
  const sampling = samplingSchema.parse({
    temperature,
    topK,
    topP,
    minP,
    repeatPenalty,
    repeatLastTokens,
    seed,
  })
  const toPrompt: Question['toPrompt'] = (model, deadlineMs) => ({
    type: 'prompt',
    requestId,
    modelId: model.id,
    modelHash: model.hash,
    ...body,
    sampling,
    maxTokens:
      options.maxTokens ?? Math.max(1, Math.min(defaultMaxTokens, Math.floor(model.contextTokens / 2))),
    stop: options.stop ?? [],
    ...(jsonSchema !== undefined && { jsonSchema }),
    ...tools.fields,
    ...(deadlineMs !== undefined && { deadlineMs }),
  })
  // The whole is checked once more as the worker will check it: bounds that concern several fields, and bytes.
  const sample = toPrompt(
    {
      id: 'x'.repeat(limits.modelIdCharsMax),
      hash: '0'.repeat(64),
      contextTokens: limits.contextTokensMax,
      slots: 1,
    },
    limits.durationMsMax,
  )
  parse(promptSchema, sample, 'prompt')
  const bytes = Buffer.byteLength(JSON.stringify(sample))
  if (bytes > limits.frameBytesMax) {
    throw invalid(`the prompt takes ${bytes} bytes, at most ${limits.frameBytesMax} fit one frame`)
  }
  const chars =
    messages.reduce((sum, message) => sum + charsOfMessage(message), 0) + JSON.stringify(tools.fields).length
  return {
    requestId,
    options,
    promptTokens: Math.ceil(chars / 3),
    promptTokensMax: bytes + 1_024,
    affinityKey: toAffinityKey(messages),
    modelId: options.model,
    modelHash: options.modelHash,
    seed,
    reading: tools.reading,
    needsTools: tools.isNeeded,
    toPrompt,
  }
}

const messagesSchema = z.array(chatMessageSchema).min(1).max(limits.chatMessagesMax)

/** A conversation is known by how it began: the system prompt, if any, and the first question. */
function toAffinityKey(messages: readonly ChatMessage[]): string {
  const firstUser = messages.findIndex(({ role }) => role === 'user')
  const start = messages.slice(0, Math.max(1, firstUser + 1))
  return createHash('sha256').update(JSON.stringify(start)).digest('hex').slice(0, 32)
}

/** @throws QMeshError `QM_REQUEST_INVALID`, naming the part that is wrong */
export function parse<Output>(schema: z.ZodType<Output>, value: unknown, what: string): Output {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  if (issue?.code === 'unrecognized_keys') throw invalid(`${what} "${issue.keys.join('", "')}" is not known`)
  const name = issue?.path.join('.') ?? ''
  throw invalid(`${what}${name ? ` "${name}"` : ''}: ${issue?.message ?? 'invalid'}`)
}

export const invalid = (detail: string): QMeshError => new QMeshError('QM_REQUEST_INVALID', detail)
