import { z } from 'zod'
import { isErrorCode, type ErrorCode } from '../errors.ts'
import { modelHashSchema, modelIdSchema, requestIdSchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { traceparentSchema } from '../trace-context.ts'
import { charsOfMessage, chatMessageSchema, findToolTurnFault, samplingSchema } from './chat.ts'
import { embeddingBlockSchema, embedTextsSchema } from './embeddings.ts'
import { type Parsed, parseMessage } from './parse-message.ts'
import { toolChoiceSchema, toolsSchema, toolStyles } from './tools.ts'

/** The version this code speaks. A peer with another major is closed with `QM_PROTOCOL_VERSION`. */
export const protocolVersion = 2

const count = (max: number) => z.number().int().min(0).max(max)
const durationMs = count(limits.durationMsMax)
/** Something signed, in its canonical encoding, as base64: JSON itself is never signed. */
const evidence = z
  .string()
  .max(limits.evidenceCharsMax)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/)

export const modelAdStates = ['loaded', 'loadable'] as const

export const modelAdSchema = z.object({
  id: modelIdSchema,
  hash: modelHashSchema,
  /** Tokens of one slot's context: prompt and answer together. */
  contextTokens: z.number().int().min(1).max(limits.contextTokensMax),
  slots: z.number().int().min(1).max(limits.slotsMax),
  /** `loadable`: not in memory, and loaded when a prompt waits for it. Absent: `loaded`. */
  state: z.enum(modelAdStates).optional(),
  /** Milliseconds that loading takes, as the worker estimates it; of a model that is not loaded. */
  loadMs: durationMs.optional(),
  /** Numbers in a vector, of a model that makes embeddings and no text. Absent: a model that answers. */
  embeddingSize: z.number().int().min(1).max(limits.embeddingSizeMax).optional(),
  /** How it writes calls of functions. Absent, or of a later version: it is not offered any. */
  tools: z.enum(toolStyles).optional().catch(undefined),
})
export type ModelAd = z.infer<typeof modelAdSchema>

/** First message on every channel, both ways, once. */
export const helloSchema = z.object({
  type: z.literal('hello'),
  protocol: z.number().int().min(1).max(65_535),
  /** Software and version, for people only. */
  agent: z.string().max(limits.agentCharsMax),
  /** `worker`, `client`; roles of later versions are ignored. */
  roles: z.array(z.string().max(limits.capabilityCharsMax)).max(limits.rolesMax),
  models: z.array(modelAdSchema).max(limits.modelsMax),
  capabilities: z.array(z.string().max(limits.capabilityCharsMax)).max(limits.capabilitiesMax),
  /** Proof of the mesh secret, 64 hex characters; required in a private mesh, ignored elsewhere. */
  proof: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
})
export type Hello = z.infer<typeof helloSchema>

/** Work that a worker asks for with a prompt while its queue is nearly full, of whoever has not earned Gold there. */
export const effortSchema = z.object({
  /** Zero bits at the start of the hash. */
  bits: z.number().int().min(1).max(limits.effortBitsMax),
  /** 16 bytes in hex, drawn by the worker and drawn again now and then: nobody can work far ahead. */
  seed: z.string().regex(/^[0-9a-f]{32}$/),
})
export type Effort = z.infer<typeof effortSchema>

export const healthStates = ['idle', 'light', 'moderate', 'busy', 'overloaded'] as const
export type HealthState = (typeof healthStates)[number]

/** Worker → everyone connected: on change, at most once a second. A claim, and treated as one. */
export const statusSchema = z.object({
  type: z.literal('status'),
  /** 0–100, 100 is idle. */
  healthScore: z.number().min(0).max(100),
  state: z.enum(healthStates),
  accepting: z.boolean(),
  /** The worker is on its way out: what it runs had better go on elsewhere, where there is an elsewhere. */
  draining: z.boolean().optional(),
  queueLength: count(limits.queueLengthMax),
  queueCapacity: count(limits.queueLengthMax),
  slotsBusy: count(limits.slotsMax),
  slots: count(limits.slotsMax),
  models: z.array(modelAdSchema).max(limits.modelsMax),
  /** Absent: no work is asked for. */
  effort: effortSchema.optional(),
})
export type Status = z.infer<typeof statusSchema>

export const resumeModes = ['exact', 'fast'] as const
/**
 * How a worker takes up an answer that another one began. `exact` reads the prompt as the first worker did and then
 * replays the tokens one at a time: the same engine build on the same kind of processor goes on as if nothing had
 * happened. `fast` reads all of it in batches, and may differ where two tokens are nearly tied.
 */
export type ResumeMode = (typeof resumeModes)[number]

/** The same, and `text`: the engine was given what there is of the answer as text, because it has no tokens of ours. */
export const takenUpModes = [...resumeModes, 'text'] as const

export const resumeSchema = z
  .object({
    /** The answer's tokens that the reader has, from the first one on. */
    tokens: z.array(count(limits.tokenIdMax)).min(1).max(limits.outputTokensMax),
    /** Characters of text that came with them: less than the tokens stand for when half a letter was held back. */
    chars: count(limits.outputCharsMax),
    /** Absent: the worker chooses, by what `exact` would cost it. */
    mode: z.enum(resumeModes).optional(),
    /** The text itself, where the model is opaque and its tokens tell nothing. */
    text: z.string().max(limits.outputCharsMax).optional(),
  })
  .refine(({ text, chars }) => text === undefined || text.length === chars, {
    message: '"chars" must be the length of "text"',
  })
export type Resume = z.infer<typeof resumeSchema>

const countGiven = (...values: readonly unknown[]): number =>
  values.filter((value) => value !== undefined).length

/** Nothing of an answer's can be asked of a vector; receipts count tokens, so there are none for embeddings. */
const isPlain = (prompt: {
  readonly stop: readonly string[]
  readonly jsonSchema?: unknown
  readonly resume?: unknown
  readonly evidence?: unknown
}): boolean => prompt.stop.length === 0 && countGiven(prompt.jsonSchema, prompt.resume, prompt.evidence) === 0

/** What a client promises for an answer. */
export const promptEvidenceSchema = z.object({
  /** An `Offer`. */
  offer: evidence,
  /** 16 random bytes in hex: with them the offer's commitment to the prompt can be checked. */
  salt: z.string().regex(/^[0-9a-f]{32}$/),
})
export type PromptEvidence = z.infer<typeof promptEvidenceSchema>

/** Client → worker: do this. Exactly one of `messages`, `prompt` and `embed` is given. */
export const promptSchema = z
  .object({
    type: z.literal('prompt'),
    requestId: requestIdSchema,
    modelId: modelIdSchema,
    /** When given, a worker whose file differs answers `QM_MODEL_UNKNOWN`. */
    modelHash: modelHashSchema.optional(),
    messages: z.array(chatMessageSchema).min(1).max(limits.chatMessagesMax).optional(),
    /** Raw text, without a chat template. */
    prompt: z.string().min(1).max(limits.promptCharsMax).optional(),
    /** Texts to make embeddings of: no token is generated, and the vectors come with the finish. */
    embed: embedTextsSchema.optional(),
    sampling: samplingSchema,
    maxTokens: z.number().int().min(1).max(limits.outputTokensMax),
    stop: z.array(z.string().min(1).max(limits.stopStringCharsMax)).max(limits.stopStringsMax).default([]),
    /** JSON schema the answer must satisfy, as JSON text: its bound is one of characters. */
    jsonSchema: z.string().max(limits.jsonSchemaCharsMax).optional(),
    /** Functions that the model may ask to have called; needs `messages` and a model that advertises `tools`. */
    tools: toolsSchema.optional(),
    /** Absent: `auto`. */
    toolChoice: toolChoiceSchema.optional(),
    /** Whether it may ask for several calls in one answer. Absent: true. */
    parallelToolCalls: z.boolean().optional(),
    /** Milliseconds from arrival after which the answer is of no use. */
    deadlineMs: durationMs.optional(),
    /** Go on with an answer instead of beginning one; needs `modelHash`. The first `response` has the next `seq`. */
    resume: resumeSchema.optional(),
    /** Absent: the client has no account, or nothing to offer, and is served as a newcomer. */
    evidence: promptEvidenceSchema.optional(),
    /** 8 bytes in hex that solve what the worker asks for, see `EffortHash`. Ignored by one that asks for nothing. */
    effortNonce: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional(),
    /** The client's step in a trace that the worker's may be joined to. Absent: the client traces nothing. */
    traceparent: traceparentSchema.optional(),
  })
  .refine(({ resume, modelHash }) => resume === undefined || modelHash !== undefined, {
    message: 'an answer is resumed by the very model that began it: "modelHash" must be given',
  })
  .refine(({ resume, maxTokens }) => resume === undefined || resume.tokens.length <= maxTokens, {
    message: 'more tokens to resume after than the answer may have',
  })
  .refine(({ messages, prompt, embed }) => countGiven(messages, prompt, embed) === 1, {
    message: 'exactly one of "messages", "prompt" and "embed" must be given',
  })
  .refine(({ embed, ...rest }) => embed === undefined || isPlain(rest), {
    message: '"embed" goes with no "stop", "jsonSchema", "resume" or "evidence"',
  })
  .refine(
    (value) =>
      (value.messages ?? []).reduce((sum, message) => sum + charsOfMessage(message), 0) <=
      limits.promptCharsMax,
    {
      message: `the messages are longer than ${limits.promptCharsMax} characters together`,
    },
  )
  .refine(({ messages = [] }) => findToolTurnFault(messages) === undefined, {
    message: 'calls of functions and messages of the role "tool" do not belong together',
  })
  .refine(({ tools, messages }) => tools === undefined || messages !== undefined, {
    message: 'functions are offered in a chat only: "tools" needs "messages"',
  })
  .refine(({ tools, jsonSchema }) => tools === undefined || jsonSchema === undefined, {
    message: 'an answer follows "jsonSchema" or calls "tools", not both',
  })
  .refine(
    ({ tools, toolChoice = 'auto' }) =>
      toolChoice === 'auto' ||
      (tools !== undefined &&
        (toolChoice === 'required' || tools.some(({ name }) => name === toolChoice.name))),
    { message: '"toolChoice" names a function that "tools" does not have' },
  )
export type Prompt = z.infer<typeof promptSchema>

/** Worker → client: admitted, and again whenever the position changes, at most twice a second. */
export const queueStatusSchema = z.object({
  type: z.literal('queue-status'),
  requestId: requestIdSchema,
  /** Requests that go first; 0 means that a slot has it. */
  position: count(limits.queueLengthMax),
  /** Milliseconds until the first token, as the worker estimates it. */
  etaMs: durationMs,
  /** Tokens of the prompt in the model's own tokenizer. */
  promptTokens: count(limits.contextTokensMax),
})
export type QueueStatus = z.infer<typeof queueStatusSchema>

export const finishReasons = ['stop', 'length', 'stop-string'] as const

export const finishSchema = z.object({
  reason: z.enum(finishReasons),
  promptTokens: count(limits.contextTokensMax),
  /** Prompt tokens that were already in the slot's cache. */
  cachedTokens: count(limits.contextTokensMax),
  /** Tokens of the whole answer, those it was resumed after included. */
  completionTokens: count(limits.outputTokensMax),
  /** How the answer was taken up from another worker; absent when this one began it. */
  resumeMode: z.enum(takenUpModes).optional(),
  /** Milliseconds on the worker: waiting in the queue, from start to first token, from start to last. */
  queuedMs: durationMs,
  firstTokenMs: durationMs,
  totalMs: durationMs,
  /** A `Result`, when the prompt came with an offer. */
  evidence: evidence.optional(),
  /** The vectors, in the order of the texts, when the prompt asked for embeddings; see `encodeEmbeddings`. */
  embeddings: embeddingBlockSchema.optional(),
})
export type Finish = z.infer<typeof finishSchema>

/** Worker → client: tokens `seq`, `seq + 1`, … of the answer; the last one carries `finish`. */
export const responseSchema = z.object({
  type: z.literal('response'),
  requestId: requestIdSchema,
  /** Index of the first token of this frame in the answer, from 0. */
  seq: count(limits.outputTokensMax),
  tokens: z.array(count(limits.tokenIdMax)).max(limits.responseTokensMax),
  /** Text that became certain with these tokens; half of a multi-byte letter waits for its other half. */
  text: z.string().max(limits.responseCharsMax),
  finish: finishSchema.optional(),
})
export type Response = z.infer<typeof responseSchema>

/** Client → worker: I have read `received` tokens in all. Cumulative, so a lost one does no harm. */
export const ackSchema = z.object({
  type: z.literal('ack'),
  requestId: requestIdSchema,
  received: count(limits.outputTokensMax),
  /** An `Ack`: the client's signature under what it has received. The last one comes after the end of the answer. */
  evidence: evidence.optional(),
})
export type Ack = z.infer<typeof ackSchema>

/** Client → worker: are you there? Asked when a worker that has a prompt of ours has said nothing for a moment. */
export const pingSchema = z.object({ type: z.literal('ping'), id: count(limits.pingIdMax) })
export type Ping = z.infer<typeof pingSchema>

/** The answer to a `ping`, at once, with its id. */
export const pongSchema = z.object({ type: z.literal('pong'), id: count(limits.pingIdMax) })
export type Pong = z.infer<typeof pongSchema>

export const cancelSchema = z.object({
  type: z.literal('cancel'),
  requestId: requestIdSchema,
  /** An `Ack` of the kind `closing`: what the worker delivered until now is not in vain. */
  evidence: evidence.optional(),
})
export type Cancel = z.infer<typeof cancelSchema>

/** Worker → client: this request (or, without an id, this connection) failed. */
export const inferenceErrorSchema = z.object({
  type: z.literal('inference_error'),
  requestId: requestIdSchema.optional(),
  /** A code of the catalogue; one of a later version reads as `QM_INFERENCE_FAILED`. */
  code: z
    .string()
    .max(limits.capabilityCharsMax)
    .transform((code): ErrorCode => (isErrorCode(code) ? code : 'QM_INFERENCE_FAILED')),
  message: z.string().max(limits.errorMessageCharsMax),
  retryAfterMs: durationMs.optional(),
  /** What it asks for now; with `QM_EFFORT_REQUIRED`. */
  effort: effortSchema.optional(),
})
export type InferenceError = z.infer<typeof inferenceErrorSchema>

/** What a client says to a worker, and a worker to a client. `hello` goes both ways, first. */
export type ClientMessage = Prompt | Ack | Cancel
export type WorkerMessage = Status | QueueStatus | Response | InferenceError
/** What keeps the connection itself; nobody but the channel sees it. */
export type ChannelMessage = Hello | Ping | Pong
export type InferenceMessage = ChannelMessage | ClientMessage | WorkerMessage

const schemas = {
  hello: helloSchema,
  status: statusSchema,
  prompt: promptSchema,
  'queue-status': queueStatusSchema,
  response: responseSchema,
  ack: ackSchema,
  cancel: cancelSchema,
  ping: pingSchema,
  pong: pongSchema,
  inference_error: inferenceErrorSchema,
} as const

export const inferenceMessageTypes = Object.keys(schemas) as (keyof typeof schemas)[]

/** What cannot be read may still say which request it is about. */
export type ParsedMessage = Parsed<InferenceMessage> & { readonly requestId?: string }

/** Checks one decoded frame against its schema. Never throws. Unknown fields are dropped. */
export function parseInferenceMessage(value: unknown): ParsedMessage {
  const parsed = parseMessage(schemas, value)
  if (parsed.kind !== 'invalid' || typeof value !== 'object' || value === null || !('requestId' in value))
    return parsed
  const { data: requestId } = requestIdSchema.safeParse(value.requestId)
  return { ...parsed, ...(requestId !== undefined && { requestId }) }
}
