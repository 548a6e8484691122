import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { describe, expect, it } from 'vitest'
import { Inspector } from '../../../runtime/inspect/inspector.ts'
import { sampleExplanation } from '../../runtime/support/control-rig.ts'
import {
  answerHello,
  createGatewayRig,
  question,
  readEvents,
  versatileWorker,
} from '../../support/gateway-rig.ts'
import { answerCalls, toolPort } from '../../support/tool-answers.ts'

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Content>> }>>
}
interface Content {
  readonly schema: object
  readonly 'x-event-data'?: { readonly $ref: string }
}
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, { readonly get?: Operation; readonly post?: Operation }>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

const replay = {
  port: { requests: () => [], scores: () => [], workers: () => [versatileWorker] },
  reply: answerHello,
  inspector: new Inspector(),
}

async function createConformance(given: Parameters<typeof createGatewayRig>[0] = {}) {
  const rig = await createGatewayRig({ ...replay, ...given })
  const document = (await rig.get('/openapi.json')).json<Document>()
  // Event data and `enum`s of parameters that take anything are words of OpenAPI, not of JSON Schema.
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  ;(formats as unknown as (ajv: Ajv2020) => void)(ajv)
  ajv.addSchema(document, 'document')
  const operation = (method: 'get' | 'post', path: string): Operation => {
    const found = document.paths[path]?.[method]
    if (!found) throw new Error(`the document has no ${method} ${path}`)
    return found
  }
  /** What is wrong with a value, for a schema of the document; an empty list: nothing. */
  const check = (reference: string, value: unknown): unknown => {
    const validate = ajv.getSchema(`document${reference}`)
    if (!validate) return `there is no ${reference}`
    return validate(value) ? [] : { value, errors: validate.errors }
  }
  const pointer = (...parts: string[]): string =>
    `#/${parts.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`
  /** The same, for an answer: the document must allow its status, too. */
  const checkReply = (
    method: 'get' | 'post',
    path: string,
    reply: { readonly statusCode: number; readonly body: string },
  ): unknown => {
    const status = String(reply.statusCode)
    if (!operation(method, path).responses[status]?.content)
      return `${method} ${path} may not answer ${status}`
    const place = pointer('paths', path, method, 'responses', status, 'content', 'application/json', 'schema')
    return check(place, JSON.parse(reply.body))
  }
  return { ...rig, document, operation, check, checkReply }
}

const bodies = {
  '/v1/chat/completions': question,
  '/v1/completions': { model: 'tiny', prompt: 'hi' },
  '/v1/responses': { model: 'tiny', input: 'hi' },
  '/v1/messages': { model: 'tiny', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] },
} as const
const asks = Object.entries(bodies)

const parameters = { type: 'object', properties: { city: { type: 'string' } } }
const weather = { name: 'weather', description: 'How it is.', parameters }
const toolBodies = {
  '/v1/chat/completions': {
    model: 'tiny',
    tools: [weather, { name: 'nap' }].map((one) => ({ type: 'function', function: one })),
    messages: [
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'weather', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: 'sunny' },
    ],
  },
  '/v1/responses': {
    model: 'tiny',
    tools: [weather, { name: 'nap' }].map((one) => ({ type: 'function', ...one })),
    input: [
      { role: 'user', content: 'hi' },
      { type: 'function_call', call_id: 'a', name: 'weather', arguments: '{}' },
      { type: 'function_call_output', call_id: 'a', output: 'sunny' },
    ],
  },
  '/v1/messages': {
    model: 'tiny',
    max_tokens: 5,
    tools: [
      { name: 'weather', input_schema: parameters },
      { name: 'nap', input_schema: {} },
    ],
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'weather', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'sunny' }] },
    ],
  },
} as const

describe('/openapi.json', () => {
  it('describes every route, and no other', async () => {
    const { server, document } = await createConformance()
    const routes = server.printRoutes({ commonPrefix: false })
    expect(document.openapi).toBe('3.1.0')
    const described = Object.entries(document.paths).flatMap(([path, { get, post }]) => [
      ...(get ? [`GET ${path}`] : []),
      ...(post ? [`POST ${path}`] : []),
    ])
    const missing = described.filter((route) => {
      const [method, path = ''] = route.split(' ')
      const url = path.replace('/v1/models/{id}', '/v1/models/*').replace('{id}', ':id')
      return !server.hasRoute({ method: method as 'GET', url })
    })
    expect(missing).toEqual([])
    // The page at `/` is not for programs.
    const lines = routes.split('\n').filter((line) => /\((GET|POST)/.test(line) && !line.includes('── / '))
    expect(described).toHaveLength(lines.length)
  })

  it('what is sent, answered and streamed is what it says', async () => {
    const { post, check, checkReply, operation } = await createConformance()
    for (const [path, body] of asks) {
      const sent = operation('post', path).requestBody?.content['application/json']?.schema as {
        $ref: string
      }
      expect(check(sent.$ref, body)).toEqual([])
      const whole = await post(path, body)
      expect(whole.statusCode).toBe(200)
      expect(checkReply('post', path, whole)).toEqual([])
      const chunk = operation('post', path).responses['200']?.content?.['text/event-stream']?.['x-event-data']
      const { data } = readEvents((await post(path, { ...body, stream: true })).body)
      expect(data.length).toBeGreaterThan(2)
      for (const event of data) expect(check(chunk?.$ref ?? '', event)).toEqual([])
    }
  })

  it('so are embeddings', async () => {
    const { post, check, checkReply, operation } = await createConformance()
    const path = '/v1/embeddings'
    const sent = operation('post', path).requestBody?.content['application/json']?.schema as { $ref: string }
    const body = { model: 'tiny-bert', input: ['a', 'b'] }
    for (const more of [{}, { encoding_format: 'base64' }, { input: 'a', dimensions: 4, user: 'me' }]) {
      expect(check(sent.$ref, { ...body, ...more })).toEqual([])
      const reply = await post(path, { ...body, ...more })
      expect(reply.statusCode).toBe(200)
      expect(checkReply('post', path, reply)).toEqual([])
    }
    for (const wrong of [{ model: 'tiny' }, { model: 'nobodys' }, { input: [1] }, { what: 1 }]) {
      const reply = await post(path, { ...body, ...wrong })
      expect(reply.statusCode).toBeGreaterThanOrEqual(400)
      expect(checkReply('post', path, reply)).toEqual([])
    }
  })

  it('so are tools, their calls and their results', async () => {
    const { post, check, checkReply, operation } = await createConformance({
      port: toolPort,
      reply: answerCalls,
    })
    for (const [path, body] of Object.entries(toolBodies)) {
      const sent = operation('post', path).requestBody?.content['application/json']?.schema as {
        $ref: string
      }
      expect(check(sent.$ref, body)).toEqual([])
      expect(check(sent.$ref, { ...body, tools: [{ type: 'function', name: 5 }] })).not.toEqual([])
      const whole = await post(path, body)
      expect(whole.body).toContain('call_0')
      expect(checkReply('post', path, whole)).toEqual([])
      const chunk = operation('post', path).responses['200']?.content?.['text/event-stream']?.['x-event-data']
      const { data } = readEvents((await post(path, { ...body, stream: true })).body)
      for (const event of data) expect(check(chunk?.$ref ?? '', event)).toEqual([])
    }
  })

  it('so are errors', async () => {
    const { post, checkReply } = await createConformance()
    for (const [path, body] of asks) {
      for (const wrong of [
        { ...body, model: 'nobodys' },
        { ...body, model: 5 },
        { ...body, what: 1 },
      ]) {
        const reply = await post(path, wrong)
        expect(reply.statusCode).toBeGreaterThanOrEqual(400)
        expect(checkReply('post', path, reply)).toEqual([])
      }
    }
  })

  it('and what can be read', async () => {
    const { get, checkReply } = await createConformance()
    const { requestId } = sampleExplanation
    const paths = [
      ['/v1/models', '/v1/models'],
      ['/v1/models/{id}', '/v1/models/tiny'],
      ['/v1/models/{id}', '/v1/models/nobodys'],
      ['/v1/mesh', '/v1/mesh'],
      ['/v1/mesh/workers', '/v1/mesh/workers'],
      ['/v1/mesh/requests', '/v1/mesh/requests'],
      ['/v1/mesh/requests/{id}/why', `/v1/mesh/requests/${requestId}/why`],
      ['/v1/mesh/requests/{id}/why', '/v1/mesh/requests/ffff/why'],
      ['/v1/mesh/requests/{id}/why', '/v1/mesh/requests/what/why'],
      ['/v1/mesh/scores', '/v1/mesh/scores'],
      ['/v1/mesh/scores/{id}/why', '/v1/mesh/scores/what/why'],
      ['/v1/mesh/scores/{id}/why', '/v1/mesh/scores/ffff/why'],
      ['/v1/mesh/credit', '/v1/mesh/credit'],
      ['/v1/mesh/models', '/v1/mesh/models'],
      ['/healthz', '/healthz'],
      ['/readyz', '/readyz'],
      ['/openapi.json', '/openapi.json'],
    ] as const
    for (const [path, url] of paths) expect(checkReply('get', path, await get(url))).toEqual([])
  })
})
