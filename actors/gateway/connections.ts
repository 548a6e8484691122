import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { ApiError, toApiFailure } from './api-error.ts'
import { openAiError } from './error-shapes.ts'

/**
 * Closes every reply of a connection that is gone. One that waits behind another (HTTP pipelining) has no socket yet, and
 * Node tells only the first: the others would run on, and hold a slot of a worker, with nobody there to read them.
 */
export function closeWithConnection(server: FastifyInstance): void {
  const open = new WeakMap<Socket, Set<ServerResponse>>()
  server.server.on('connection', (socket: Socket) => {
    const replies = new Set<ServerResponse>()
    open.set(socket, replies)
    socket.once('close', () => {
      for (const reply of replies) {
        if (reply.socket) continue
        reply.destroy()
        reply.emit('close')
      }
    })
  })
  server.addHook('onRequest', async ({ raw: { socket } }, { raw }) => {
    const replies = open.get(socket)
    if (!replies) return
    replies.add(raw)
    raw.once('close', () => replies.delete(raw))
  })
}

/** Milliseconds that whoever is refused has to read why. */
const lingerMs = 1_000

/** Bytes that are no HTTP, or heads that are too long or too late: there is no request to answer. */
export function refuseRaw(error: Error & { readonly code?: string | undefined }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) return void socket.destroy()
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout']
        : [400, 'Bad Request']
  const failure = toApiFailure(new ApiError(`${reason}: this is not a request that HTTP knows.`, { status }))
  const body = JSON.stringify(openAiError(failure))
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  // One that never closes its end would keep its place among the connections for ever.
  const linger = setTimeout(() => socket.destroy(), lingerMs).unref()
  socket.once('close', () => clearTimeout(linger))
}

/** Whether an answer has begun: anything written beside it would become a part of it. */
function isAnswering(socket: Socket): boolean {
  const reply: unknown = '_httpMessage' in socket ? socket._httpMessage : undefined
  return typeof reply === 'object' && reply !== null && 'headersSent' in reply && reply.headersSent === true
}
