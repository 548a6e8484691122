import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ApiError } from './api-error.ts'
import type { GatewayLimits } from './settings.ts'

/**
 * Reads JSON bodies. Besides the bound on each there is one on all that are coming in at the same time: a thousand
 * connections that each send a long body slowly must not fill the memory.
 */
export function acceptJson(server: FastifyInstance, limits: GatewayLimits): void {
  let receiving = 0
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('application/json', async (_request: unknown, payload: IncomingMessage) => {
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      for await (const chunk of payload as AsyncIterable<Buffer>) {
        bytes += chunk.length
        receiving += chunk.length
        if (bytes > limits.bodyBytesMax) throw tooLong(limits.bodyBytesMax)
        if (receiving > limits.bodiesBytesMax) throw tooMany()
        chunks.push(chunk)
      }
    } catch (error) {
      if (error instanceof ApiError) throw error
      // The caller hung up in the middle: no defect of this node, and nobody is left to hear of it.
      throw new ApiError(
        'The body did not come to its end.',
        { status: 499, code: 'cancelled' },
        'QM_CANCELLED',
      )
    } finally {
      receiving -= bytes
    }
    return parseJson(Buffer.concat(chunks, bytes))
  })
  server.addHook('onRequest', async (request) => {
    const length = Number(request.headers['content-length'] ?? 0)
    if (length > limits.bodyBytesMax) throw tooLong(limits.bodyBytesMax)
  })
}

/** @throws ApiError for what is not UTF-8 or not JSON */
export function parseJson(body: Buffer): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw new ApiError('The body is not valid UTF-8.', { code: 'invalid_encoding' })
  }
  if (text.trim() === '')
    throw new ApiError('The body is empty: a JSON object was expected.', { code: 'invalid_json' })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const detail = error instanceof Error ? error.message.slice(0, 200) : 'no reason given'
    throw new ApiError(`The body is not valid JSON: ${detail}`, { code: 'invalid_json' })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ApiError('The body must be a JSON object.', { code: 'invalid_type' })
  checkDepth(value)
  return value
}

/** Nesting of a body: more than the deepest JSON schema there may be, and what is around it. */
const depthMax = 64

/** What works on a value part by part would run out of stack where it is nested too deeply. */
function checkDepth(body: object): void {
  let level: object[] = [body]
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > depthMax)
      throw new ApiError(`The body is nested deeper than ${depthMax}.`, { code: 'invalid_value' })
    const next: object[] = []
    for (const part of level) {
      for (const inner of Object.values(part) as unknown[])
        if (typeof inner === 'object' && inner !== null) next.push(inner)
    }
    level = next
  }
}

const tooLong = (max: number): ApiError =>
  new ApiError(`The body is longer than ${max} bytes.`, { status: 413, code: 'request_too_large' })

const tooMany = (): ApiError =>
  new ApiError(
    'Too many long requests are coming in at once; try again in a moment.',
    { status: 503, type: 'service_unavailable_error', code: 'too_many_bodies', retryAfterMs: 1_000 },
    'QM_TOO_MANY_REQUESTS',
  )
