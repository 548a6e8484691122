import { z } from 'zod'
import { messageRequest } from './anthropic/message-request.ts'
import { messageErrorWire, messageWire } from './anthropic/wire.ts'
import { embeddingRequest } from './embeddings/embedding-request.ts'
import { embeddingListWire } from './embeddings/wire.ts'
import { errorTable } from './error-table.ts'
import { modelPullRequest } from './model-pull.ts'
import {
  chatChunkWire,
  chatCompletionWire,
  completionWire,
  errorWire,
  modelListWire,
  modelWire,
} from './openai/wire.ts'
import { chatRequest } from './requests/chat-request.ts'
import { completionRequest } from './requests/completion-request.ts'
import { responseRequest } from './responses/response-request.ts'
import { responseWire } from './responses/wire.ts'
import type { GatewaySettings } from './settings.ts'

/** A schema of the code, in the dialect of OpenAPI 3.1. */
const toSchema = (schema: z.ZodType, io: 'input' | 'output'): object => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

const json = (schema: object) => ({ 'application/json': { schema } })
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const headers = {
  'x-qmesh-request-id': {
    description: 'Ids of the requests in the mesh, one a choice.',
    schema: { type: 'string' },
  },
  'x-qmesh-worker': { description: 'Ids of the workers that were asked.', schema: { type: 'string' } },
  'x-qmesh-handovers': {
    description: 'How often the answer went on at another worker; in a stream, the last word is a comment.',
    schema: { type: 'integer', minimum: 0 },
  },
}

const { 'x-qmesh-handovers': _, ...embeddingHeaders } = headers

const failures = (statuses: readonly number[], schema = 'Error') =>
  Object.fromEntries(
    statuses.map((status) => [
      String(status),
      { description: reasons[status] ?? '', content: json(ref(schema)) },
    ]),
  )

const reasons: Readonly<Record<number, string>> = {
  400: 'The request is wrong, or asks for what is not supported.',
  401: 'The API key is missing or wrong.',
  403: 'Not from here.',
  404: 'There is no such thing.',
  413: 'The body is too long.',
  429: 'Too many requests; see Retry-After.',
  500: 'A defect.',
  501: 'Not there yet.',
  502: 'The workers failed.',
  503: 'Nobody can answer now; see Retry-After.',
  504: 'It took too long.',
}

/** Failures that any request to the mesh can end with. */
const meshStatuses = [
  ...new Set([400, 401, 403, 404, 413, 500, ...Object.values(errorTable).map(({ status }) => status)]),
]
  .filter((status) => status in reasons)
  .toSorted((a, b) => a - b)

const read = (summary: string, schema: object, statuses: readonly number[] = [401, 403]) => ({
  get: {
    summary,
    responses: { 200: { description: 'Here it is.', content: json(schema) }, ...failures(statuses) },
  },
})

const ask = (summary: string, request: string, whole: string, chunk: string, error = 'Error') => ({
  post: {
    summary,
    requestBody: { required: true, content: json(ref(request)) },
    responses: {
      200: {
        description: 'The whole answer, or the events of a stream.',
        headers,
        content: {
          ...json(ref(whole)),
          'text/event-stream': { schema: { type: 'string' }, 'x-event-data': ref(chunk) },
        },
      },
      ...failures(meshStatuses, error),
    },
  },
})

/** @param events what the events of each name carry */
const stream = (events: Readonly<Record<string, object>>) => ({
  'text/event-stream': { schema: { type: 'string' }, 'x-events': events },
})

/** Things that are new or changed, and the ids of those that are not there any more. */
const news = (items: object) => ({
  type: 'object',
  properties: { changed: items, gone: { type: 'array', items: { type: 'string' } } },
  required: ['changed', 'gone'],
})

const list = (items: object) => ({ type: 'array', items })

const namedEvent = { type: 'object', properties: { type: { type: 'string' } }, required: ['type'] }
/** A model that known workers hold. */
const knownModelWire = z.strictObject({
  id: z.string(),
  contextTokens: z.number().int().min(0),
  workers: z.number().int().min(1),
  embeddingSize: z.number().int().min(1).optional(),
  tools: z.boolean(),
})

const numberedEvent = {
  type: 'object',
  properties: { type: { type: 'string' }, sequence_number: { type: 'integer', minimum: 0 } },
  required: ['type', 'sequence_number'],
}

const parameter = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string' },
})

/** The OpenAPI document of this gateway. Request and answer types of the code are its schemas. */
export function createOpenApi({ version, keys, schemas }: GatewaySettings) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'QMesh gateway',
      version,
      description: "OpenAI's API in front of a mesh of workers, and what the mesh knows of itself.",
    },
    ...(keys.length > 0 && { security: [{ bearer: [] }, { key: [] }] }),
    paths: {
      '/v1/chat/completions': ask('Answers a chat.', 'ChatRequest', 'ChatCompletion', 'ChatChunk'),
      '/v1/completions': ask('Continues a text.', 'CompletionRequest', 'Completion', 'Completion'),
      '/v1/responses': ask(
        'Answers, as the Responses API does.',
        'ResponseRequest',
        'Response',
        'ResponseEvent',
      ),
      '/v1/messages': ask(
        "Answers a chat, as Anthropic's API does.",
        'MessageRequest',
        'Message',
        'MessageEvent',
        'MessageError',
      ),
      '/v1/embeddings': {
        post: {
          summary: 'Turns texts into vectors.',
          requestBody: { required: true, content: json(ref('EmbeddingRequest')) },
          responses: {
            200: {
              description: 'A vector for each text.',
              headers: embeddingHeaders,
              content: json(ref('EmbeddingList')),
            },
            ...failures(meshStatuses),
          },
        },
      },
      '/v1/models': read('Lists the models that known workers hold.', ref('ModelList')),
      '/v1/models/{id}': {
        parameters: [parameter('id', 'The name of a model.')],
        ...read('Describes one model.', ref('Model'), [401, 403, 404]),
      },
      '/v1/mesh': read('What this node is doing.', ref('MeshStatus')),
      '/v1/mesh/workers': read('The workers that this node knows.', ref('MeshWorkers')),
      '/v1/mesh/requests': read('The latest requests of this node, the latest first.', ref('MeshRequests')),
      '/v1/mesh/requests/{id}/why': {
        parameters: [parameter('id', "A request's id or its beginning.")],
        ...read('Why a request went where it went.', ref('MeshWhy'), [400, 401, 403, 404]),
      },
      '/v1/mesh/scores': read(
        'The accounts that this node knows, the best first.',
        ref('MeshScores'),
        [401, 403, 404],
      ),
      '/v1/mesh/scores/{id}/why': {
        parameters: [parameter('id', "An account's id or its beginning.")],
        ...read('Where a score comes from.', ref('MeshScore'), [400, 401, 403, 404]),
      },
      '/v1/mesh/credit': read(
        'What this node earned, paid and may spend.',
        ref('MeshCredit'),
        [401, 403, 404],
      ),
      '/v1/mesh/events': {
        get: {
          summary: 'The state of the node, its workers and its requests, told as they change.',
          responses: {
            200: {
              description: 'First all there is, then what changes, at most twice a second.',
              content: stream({
                status: news(list({ type: 'object', description: 'MeshStatus, without `uptimeMs`.' })),
                workers: news(ref('MeshWorkers')),
                requests: news(ref('MeshRequests')),
              }),
            },
            ...failures([401, 403, 429, 503]),
          },
        },
      },
      '/v1/mesh/models': read('The models of this node and of its mesh.', ref('MeshModels')),
      '/v1/mesh/models/pull': {
        post: {
          summary: 'Fetches a model to this node. Hanging up ends it; what came is kept.',
          requestBody: { required: true, content: json(ref('ModelPullRequest')) },
          responses: {
            200: {
              description: 'How far it is, and at the end the model or an error.',
              content: stream({
                progress: ref('ModelPullProgress'),
                'source-failed': ref('ModelSourceFailure'),
                done: ref('PulledModel'),
                error: ref('Error'),
              }),
            },
            ...failures([400, 401, 403, 404, 413, 500, 501, 502, 503]),
          },
        },
      },
      '/machines/tree': read('The actors of this node.', ref('ActorTree')),
      '/machines/graphs/{id}': {
        parameters: [parameter('id', 'The graph of an actor, as the tree names it.')],
        ...read('The statechart of an actor.', { type: 'object' }, [401, 403, 404]),
      },
      '/machines/events': {
        get: {
          summary: 'What happens to the actors, as it happens.',
          responses: {
            200: { description: 'Frames, each one event.', content: stream({ message: { type: 'object' } }) },
            ...failures([401, 403, 429, 503]),
          },
        },
      },
      '/healthz': read('Whether the node lives.', ref('Health'), []),
      '/readyz': {
        get: {
          summary: 'Whether it can answer.',
          responses: {
            200: { description: 'It can.', content: json(ref('Readiness')) },
            503: { description: 'It cannot now.', content: json(ref('Readiness')) },
          },
        },
      },
      '/metrics': {
        get: {
          summary: 'What is counted, for Prometheus.',
          responses: {
            200: { description: 'Text.', content: { 'text/plain': { schema: { type: 'string' } } } },
          },
        },
      },
      '/openapi.json': read('This document.', { type: 'object' }),
    },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
      schemas: {
        ChatRequest: toSchema(chatRequest, 'input'),
        ChatCompletion: toSchema(chatCompletionWire, 'output'),
        ChatChunk: toSchema(chatChunkWire, 'output'),
        CompletionRequest: toSchema(completionRequest, 'input'),
        Completion: toSchema(completionWire, 'output'),
        EmbeddingRequest: toSchema(embeddingRequest, 'input'),
        EmbeddingList: toSchema(embeddingListWire, 'output'),
        Model: toSchema(modelWire, 'output'),
        ModelList: toSchema(modelListWire, 'output'),
        ResponseRequest: toSchema(responseRequest, 'input'),
        Response: toSchema(responseWire, 'output'),
        ResponseEvent: numberedEvent,
        MessageRequest: toSchema(messageRequest, 'input'),
        Message: toSchema(messageWire, 'output'),
        MessageEvent: namedEvent,
        MessageError: toSchema(messageErrorWire, 'output'),
        Error: toSchema(errorWire, 'output'),
        ActorTree: {
          type: 'object',
          properties: { actors: list({ type: 'object' }) },
          required: ['actors'],
        },
        Health: { type: 'object', properties: { status: { const: 'ok' } }, required: ['status'] },
        Readiness: {
          type: 'object',
          properties: { status: { enum: ['ready', 'not ready'] }, reason: { type: 'string' } },
          required: ['status'],
        },
        MeshStatus: toSchema(schemas.status, 'input'),
        MeshWorkers: toSchema(schemas.workers, 'input'),
        MeshRequests: toSchema(schemas.requests, 'input'),
        MeshWhy: toSchema(schemas.why, 'input'),
        MeshScores: toSchema(schemas.scores, 'input'),
        MeshScore: toSchema(schemas.whyScore, 'input'),
        MeshCredit: toSchema(schemas.credit, 'input'),
        MeshModels: {
          type: 'object',
          properties: {
            serving: { $ref: '#/components/schemas/MeshStatus/properties/models' },
            mesh: toSchema(z.array(knownModelWire), 'output'),
            library: list(toSchema(schemas.libraryModel, 'input')),
            seeds: list(toSchema(schemas.seed, 'input')),
            canPull: { type: 'boolean' },
          },
          required: ['serving', 'mesh', 'library', 'seeds', 'canPull'],
          additionalProperties: false,
        },
        ModelPullRequest: toSchema(modelPullRequest, 'input'),
        ModelPullProgress: toSchema(schemas.pullProgress, 'input'),
        ModelSourceFailure: toSchema(schemas.sourceFailure, 'input'),
        PulledModel: toSchema(schemas.pulledModel, 'input'),
      },
    },
  }
}
