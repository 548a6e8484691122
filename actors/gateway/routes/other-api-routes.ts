import type { FastifyInstance } from 'fastify'
import { createMessageStream, toMessage } from '../anthropic/message-answer.ts'
import { toMessageCall } from '../anthropic/message-request.ts'
import { answerCall, onlyResult } from '../answer-call.ts'
import { toResponse } from '../responses/response-answer.ts'
import { toResponseCall } from '../responses/response-request.ts'
import { createResponseStream } from '../responses/response-stream.ts'
import type { GatewayApp } from './gateway-app.ts'

/** Other APIs over the same core: Anthropic's messages, and OpenAI's responses. */
export function addOtherApiRoutes(server: FastifyInstance, app: GatewayApp): void {
  server.post('/v1/messages', async ({ body }, reply) => {
    const call = toMessageCall(app.port, body)
    return answerCall(app, reply, call, {
      whole: (id, results) => toMessage(id, onlyResult(results), call.stops),
      stream: (id, model, promptTokens) => createMessageStream({ ...call, id, model, promptTokens }),
    })
  })

  server.post('/v1/responses', async ({ body }, reply) => {
    const call = toResponseCall(app.port, body)
    return answerCall(app, reply, call, {
      whole: (id, results) => toResponse(id, onlyResult(results), call.request),
      stream: (id, model) => createResponseStream(id, model, call.request),
    })
  })
}
