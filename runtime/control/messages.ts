import { z } from 'zod'
import { errorCodes, limits } from '../../protocol/index.ts'

/**
 * What goes over the control socket, in the frames of the wire. One connection is one command: the client sends a
 * request, the node any number of chunks and notices and then exactly one result or error. Closing the connection
 * cancels the command.
 */
export const controlVersion = 1

/** Connections at once; a few more are told so, and the rest is closed unanswered. */
export const controlConnectionsMax = 64
export const controlRefusalsMax = 64
/** Milliseconds a new connection has to send its request. */
export const controlRequestTimeoutMs = 10_000
/** Milliseconds that replies may lie unread; then the command is cancelled. */
export const controlDrainTimeoutMs = 30_000

export const requestSchema = z.object({
  /** A node that speaks another version refuses. */
  version: z.number().int(),
  command: z.string().max(64),
  args: z.unknown(),
})
export type Request = z.infer<typeof requestSchema>

const chunkSchema = z.object({
  type: z.literal('chunk'),
  text: z.string().max(limits.frameBytesMax),
  tokens: z.array(z.number().int()).max(limits.responseTokensMax * 64),
})
const noticeSchema = z.object({ type: z.literal('notice'), name: z.string().max(64), value: z.unknown() })
const resultSchema = z.object({ type: z.literal('result'), value: z.unknown() })
const failureSchema = z.object({
  type: z.literal('error'),
  code: z.enum(errorCodes).catch('QM_INTERNAL'),
  message: z.string().max(4_096),
  retryAfterMs: z.number().min(0).optional(),
})

export const replySchema = z.discriminatedUnion('type', [
  chunkSchema,
  noticeSchema,
  resultSchema,
  failureSchema,
])
export type Reply = z.infer<typeof replySchema>
export type Chunk = z.infer<typeof chunkSchema>
/** Something that happened on the way, for example a new position in the queue. */
export type Notice = z.infer<typeof noticeSchema>
