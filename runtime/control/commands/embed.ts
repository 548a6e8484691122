import { z } from 'zod'
import type { Embeddings } from '../../../actors/request/embedder.ts'
import {
  decodeEmbeddings,
  encodeEmbeddings,
  limits,
  modelHashSchema,
  modelIdSchema,
  peerIdSchema,
  QMeshError,
  requestIdSchema,
  traceparentSchema,
} from '../../../protocol/index.ts'
import { defineCommand } from '../command.ts'
import type { Replies } from '../request.ts'
import { attemptSchema } from './ask.ts'

const number = z.number().min(0)
const count = z.number().int().min(0)

/** The texts and their options. The node checks their bounds again; a frame bounds them all. */
const embedArgsSchema = z.strictObject({
  texts: z.array(z.string().max(limits.promptCharsMax)),
  model: modelIdSchema.optional(),
  modelHash: modelHashSchema.optional(),
  size: count.optional(),
  deadlineMs: z.number().int().min(1).max(limits.durationMsMax).optional(),
  discoverMs: z.number().int().min(1).max(limits.durationMsMax).optional(),
  localOnly: z.boolean().optional(),
  traceparent: traceparentSchema.optional(),
})

/** The vectors came before: all of them may be too much for a frame. */
const embedResultSchema = z.object({
  size: count,
  modelId: modelIdSchema,
  modelHash: modelHashSchema,
  usage: z.object({ promptTokens: number }),
  timings: z.object({ totalMs: number }),
  requests: z.array(
    z.object({
      requestId: requestIdSchema,
      texts: count,
      workerId: peerIdSchema,
      attempts: z.array(attemptSchema),
    }),
  ),
})

/** A notice for each text, in order. */
const vectorNotice = 'vector'
const vectorSchema = z.object({ size: count.min(1).max(limits.embeddingSizeMax), vector: z.string() })

export const embedCommand = defineCommand({
  args: embedArgsSchema,
  result: embedResultSchema,
  run: async ({ port, signal, send }, { texts, ...options }) => {
    const { vectors, requests, ...result } = await port.embed(texts, { ...options, signal })
    for (const vector of vectors) {
      const value = { size: vector.length, vector: encodeEmbeddings([vector]) }
      await send({ type: 'notice', name: vectorNotice, value })
    }
    return { ...result, requests: requests.map((one) => ({ ...one, attempts: [...one.attempts] })) }
  },
})

/** The client's end: puts together what the node sends. */
export async function readEmbeddings(
  replies: Replies,
  parse: (value: unknown) => z.output<typeof embedResultSchema>,
): Promise<Embeddings> {
  const vectors: Float32Array[] = []
  for await (const reply of replies) {
    if (reply.type === 'notice' && reply.name === vectorNotice) vectors.push(toVector(reply.value))
    else if (reply.type === 'result') return { ...parse(reply.value), vectors }
  }
  throw new QMeshError('QM_NODE_STOPPED', 'the node stopped before it answered')
}

function toVector(value: unknown): Float32Array {
  const parsed = vectorSchema.safeParse(value)
  const vectors = parsed.success ? decodeEmbeddings(parsed.data.vector, 1, parsed.data.size) : undefined
  const [vector] = Array.isArray(vectors) ? vectors : []
  if (vector) return vector
  throw new QMeshError('QM_PROTOCOL_VERSION', 'the running node sent something else than a vector')
}
