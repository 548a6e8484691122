import { z } from 'zod'
import type { AnswerEvents } from '../../../actors/request/answer-events.ts'
import { answerFinishes } from '../../../actors/request/answer.ts'
import {
  chatMessageSchema,
  errorCodes,
  limits,
  modelHashSchema,
  modelIdSchema,
  peerIdSchema,
  requestIdSchema,
  resumeModes,
  samplingSchema,
  traceparentSchema,
} from '../../../protocol/index.ts'
import { defineCommand } from '../command.ts'

const sampling = samplingSchema.shape
const number = z.number().min(0)

/** The prompt and its options. The node checks their bounds again; here only their shape and their size matter. */
const askArgsSchema = z.strictObject({
  messages: z.array(chatMessageSchema).min(1).max(limits.chatMessagesMax),
  model: modelIdSchema.optional(),
  temperature: sampling.temperature.unwrap().optional(),
  topK: sampling.topK.unwrap().optional(),
  topP: sampling.topP.unwrap().optional(),
  minP: sampling.minP.unwrap().optional(),
  repeatPenalty: sampling.repeatPenalty.unwrap().optional(),
  repeatLastTokens: sampling.repeatLastTokens.unwrap().optional(),
  seed: sampling.seed,
  maxTokens: z.number().int().min(1).max(limits.outputTokensMax).optional(),
  stop: z.array(z.string().min(1).max(limits.stopStringCharsMax)).max(limits.stopStringsMax).optional(),
  jsonSchema: z.string().max(limits.jsonSchemaCharsMax).optional(),
  deadlineMs: z.number().int().min(1).max(limits.durationMsMax).optional(),
  discoverMs: z.number().int().min(1).max(limits.durationMsMax).optional(),
  localOnly: z.boolean().optional(),
  resume: z.enum(resumeModes).optional(),
  traceparent: traceparentSchema.optional(),
})

export const attemptSchema = z.object({
  workerId: peerIdSchema,
  modelId: modelIdSchema,
  modelHash: modelHashSchema,
  atMs: number,
  tokens: number,
  code: z.enum(errorCodes).optional(),
  message: z.string().optional(),
})

const handoverSchema = z.object({
  from: peerIdSchema,
  to: peerIdSchema,
  afterTokens: number,
  gapMs: number,
  code: z.enum(errorCodes),
  resume: z.literal('text').optional(),
})

/** What happens on the way to an answer, passed on as notices. */
export const answerEventSchemas = {
  waiting: z.object({ requestId: requestIdSchema }),
  worker: z.object({ workerId: peerIdSchema, modelId: modelIdSchema, attempt: number }),
  queued: z.object({ position: number, etaMs: number, promptTokens: number }),
  started: z.object({ firstTokenMs: number }),
  handover: handoverSchema,
  attemptFailed: attemptSchema,
} as const satisfies Record<keyof AnswerEvents, z.ZodType>

export const answerEventNames = Object.keys(answerEventSchemas) as (keyof AnswerEvents)[]

/** The text is not repeated in the result: the client has it, and a frame is bounded. */
const askResultSchema = z.object({
  requestId: requestIdSchema,
  finishReason: z.enum(answerFinishes),
  usage: z.object({ promptTokens: number, cachedTokens: number, completionTokens: number }),
  timings: z.object({ firstTokenMs: number, totalMs: number, queuedMs: number }),
  workerId: peerIdSchema,
  modelId: modelIdSchema,
  modelHash: modelHashSchema,
  seed: number.optional(),
  attempts: z.array(attemptSchema),
  handovers: z.array(handoverSchema),
})

/** The first notice of an answer, before anything happens: its request. */
export const askedNotice = 'asked'
export const askedSchema = z.object({ requestId: requestIdSchema })

export const askCommand = defineCommand({
  args: askArgsSchema,
  result: askResultSchema,
  run: async ({ port, signal, send }, { messages, ...options }) => {
    const answer = port.ask(messages, { ...options, signal })
    const { requestId } = answer
    if (requestId !== undefined) {
      void send({ type: 'notice', name: askedNotice, value: { requestId } }).catch(() => undefined)
    }
    for (const name of answerEventNames) {
      // Nobody waits for a notice: the chunks that follow wait for a slow reader, and one who reads nothing is given up.
      answer.on(name, (value) => void send({ type: 'notice', name, value }).catch(() => undefined))
    }
    // Leaving the loop, for whatever reason, cancels the answer.
    for await (const { text, tokens } of answer) await send({ type: 'chunk', text, tokens: [...tokens] })
    const result = await answer.result
    return { ...result, text: undefined, attempts: [...result.attempts], handovers: [...result.handovers] }
  },
})
