import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiFailure } from './api-error.ts'

/** How one API writes a failure. */
export type ErrorShape = (failure: ApiFailure) => object

export const openAiError = ({ message, type, param, code, qmeshCode }: ApiFailure) => ({
  error: { message, type, param, code, qmesh_code: qmeshCode },
})

const anthropicTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

export const anthropicError = ({ status, message, qmeshCode }: ApiFailure) => ({
  type: 'error' as const,
  error: {
    type: anthropicTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error'),
    message,
    qmesh_code: qmeshCode,
  },
})

/** By the path, so that a request which never reached a route is answered in its API's shape, too. */
export const toShape = (url: string): ErrorShape =>
  url.startsWith('/v1/messages') ? anthropicError : openAiError

/** Answers with a failure, in the shape of the API that was asked. */
export function sendFailure(request: FastifyRequest, reply: FastifyReply, failure: ApiFailure): FastifyReply {
  const { status, qmeshCode, retryAfterMs } = failure
  void reply.code(status).header('x-qmesh-error', qmeshCode).type('application/json; charset=utf-8')
  if (retryAfterMs !== undefined) {
    void reply.header('retry-after', String(Math.ceil(retryAfterMs / 1_000)))
    // OpenAI's own clients read this one first.
    void reply.header('retry-after-ms', String(retryAfterMs))
  }
  return reply.send(toShape(request.url)(failure))
}
