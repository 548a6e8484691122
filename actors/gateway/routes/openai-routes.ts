import type { FastifyInstance } from 'fastify'
import { answerCall } from '../answer-call.ts'
import { answerEmbedding } from '../embeddings/embedding-answer.ts'
import { toEmbeddingCall } from '../embeddings/embedding-request.ts'
import { findModel, listModels, type KnownModel } from '../models.ts'
import { createChatStream, toChatCompletion } from '../openai/chat-answer.ts'
import { createCompletionStream, toCompletion } from '../openai/completion-answer.ts'
import { nowSeconds } from '../openai/usage.ts'
import type { Model, ModelList } from '../openai/wire.ts'
import { toChatCall } from '../requests/chat-request.ts'
import { toCompletionCall } from '../requests/completion-request.ts'
import type { GatewayApp } from './gateway-app.ts'

/** OpenAI's API, as far as the mesh can answer it. */
export function addOpenAiRoutes(server: FastifyInstance, app: GatewayApp): void {
  const { port, limits } = app
  const { uptimeMs } = port.status()
  const startedAt = nowSeconds() - Math.round(uptimeMs / 1_000)
  const toModel = ({ id, contextTokens, workers, embeddingSize, tools }: KnownModel): Model => ({
    id,
    object: 'model',
    created: startedAt,
    owned_by: 'qmesh',
    context_length: contextTokens,
    workers,
    ...(embeddingSize !== undefined && { embedding_size: embeddingSize }),
    tools,
  })

  server.post('/v1/chat/completions', async ({ body }, reply) => {
    const call = toChatCall(port, body, limits.choicesMax)
    return answerCall(app, reply, call, {
      whole: toChatCompletion,
      stream: (id, model) => createChatStream(id, model, call.asks.length, call.hasUsage),
    })
  })

  server.post('/v1/completions', async ({ body }, reply) => {
    const call = toCompletionCall(port, body, limits.choicesMax)
    const { prompts } = call
    return answerCall(app, reply, call, {
      whole: (id, results) => toCompletion(id, results, prompts),
      stream: (id, model) => createCompletionStream(id, model, prompts, call.hasUsage),
    })
  })

  server.post('/v1/embeddings', async ({ body }, reply) =>
    answerEmbedding(app, reply, toEmbeddingCall(port, body)),
  )

  server.get('/v1/models', async (): Promise<ModelList> => ({
    object: 'list',
    data: listModels(port).map(toModel),
  }))

  server.get<{ Params: { '*': string } }>('/v1/models/*', async ({ params }) =>
    toModel(findModel(port, params['*'])),
  )
}
