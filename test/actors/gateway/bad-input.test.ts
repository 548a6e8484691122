import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { errorCodes } from '../../../protocol/index.ts'
import { errorTable, toErrorRow, toRetryMs } from '../../../actors/gateway/error-table.ts'
import { answerHello, createGatewayRig, question } from '../../support/gateway-rig.ts'

const json = { 'content-type': 'application/json' }
const wrong = {
  'half of an object': ['{"model": "tiny"', 'invalid_json'],
  'no JSON': ['hello', 'invalid_json'],
  nothing: ['', 'invalid_json'],
  'a list': ['[1]', 'invalid_type'],
  null: ['null', 'invalid_type'],
  'bytes that are no UTF-8': [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 'invalid_encoding'],
  'a key that is the prototype': [
    '{"__proto__": {"model": "tiny"}, "messages": []}',
    'missing_required_parameter',
  ],
  'a hundred thousand brackets': [`{"model":${'['.repeat(100_000)}`, 'invalid_json'],
  'a nested hundred thousand': [
    `{"model":"tiny","messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'invalid_value',
  ],
  'one in what is only compared': [
    `${JSON.stringify(question).slice(0, -1)},"tools":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'invalid_value',
  ],
} as const

/** A question as it goes over a connection. */
const toRequest = (body: object): string => {
  const text = JSON.stringify({ ...question, ...body })
  return (
    'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
    `Content-Length: ${text.length}\r\n\r\n${text}`
  )
}

/** Everything that comes until the other end closes. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

describe('bodies', () => {
  it.each(Object.entries(wrong))('%s is refused in words', async (_, [payload, code]) => {
    const { server, asked } = await createGatewayRig()
    const reply = await server.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { ...json, host: 'localhost' },
      payload,
    })
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({ error: { type: 'invalid_request_error', code } })
    expect(asked).toEqual([])
  })

  it('that is not said to be JSON is refused: a page could send it without asking', async () => {
    const { server } = await createGatewayRig()
    const reply = await server.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { host: 'localhost', 'content-type': 'text/plain' },
      payload: JSON.stringify(question),
    })
    expect(reply.statusCode).toBe(415)
    expect(reply.json()).toMatchObject({ error: { code: 'unsupported_media_type' } })
  })

  it('a thousand unknown parameters are not sent back', async () => {
    const { chat } = await createGatewayRig()
    const unknown = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`p${index}`, 1]))
    const reply = await chat(unknown)
    expect(reply.json()).toMatchObject({ error: { code: 'unknown_parameter', param: 'p0' } })
    expect(reply.body).toContain('"p7\\", nor 992 more')
    expect(reply.body.length).toBeLessThan(1_000)
  })

  it.each([
    ['messages[0].content', { messages: [{ role: 'user', content: [] }] }, 'array to have >=1'],
    ['stop', { stop: 'x'.repeat(65) }, 'string to have <=64'],
    ['stop', { stop: 5 }, 'none of the shapes'],
    ['tool_choice', { tool_choice: 'perhaps' }, '"required"'],
  ])('%s of several shapes is told what is wrong with the one that was meant', async (param, body, why) => {
    const { chat } = await createGatewayRig()
    const { error } = (await chat(body)).json<{ error: { param: string; message: string } }>()
    expect(error.param).toBe(param)
    expect(error.message).toContain(why)
  })

  it('too long a one is refused by its announced length, and one without any while it comes', async () => {
    const rig = await createGatewayRig({ settings: { limits: { bodyBytesMax: 1_000 } } })
    const content = 'x'.repeat(1_000)
    const announced = await rig.chat({ messages: [{ role: 'user', content }] })
    expect(announced.statusCode).toBe(413)
    expect(announced.json()).toMatchObject({ error: { code: 'request_too_large' } })
    const socket = await rig.raw()
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Transfer-Encoding: chunked\r\n\r\n',
    )
    for (let i = 0; i < 3; i++) socket.write(`1f4\r\n${'x'.repeat(500)}\r\n`)
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(head.toString()).toMatch(/^HTTP\/1.1 413 [\s\S]*request_too_large/)
    expect(rig.asked).toEqual([])
  })

  it('one whose caller hangs up in the middle is no defect', async () => {
    const rig = await createGatewayRig()
    const socket = await rig.raw()
    socket.write(toRequest({}).slice(0, -10))
    const { server } = rig.server
    await once(server, 'request')
    socket.resetAndDestroy()
    await expect
      .poll(() => rig.meter.registry.metrics())
      .toContain('qmesh_http_requests_total{route="/v1/chat/completions",method="POST",status=')
    await rig.drain()
    expect(rig.defects).toEqual([])
  })

  it('many long ones at once are refused, and room is made again', async () => {
    const rig = await createGatewayRig({
      settings: { limits: { bodiesBytesMax: 1_000 } },
      reply: answerHello,
    })
    const slow = await rig.raw()
    slow.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        `Content-Length: 2000\r\n\r\n${' '.repeat(900)}`,
    )
    const big = { messages: [{ role: 'user', content: 'x'.repeat(500) }] }
    await expect.poll(async () => (await rig.fetchChat(big)).status).toBe(503)
    slow.destroy()
    await expect.poll(async () => (await rig.fetchChat(big)).status).toBe(200)
  })
})

describe('connections', () => {
  it('bytes that are no HTTP are answered as far as that is possible', async () => {
    const rig = await createGatewayRig()
    const socket = await rig.raw()
    socket.write('\x16\x03\x01 hello\r\n\r\n')
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[\s\S]*invalid_request_error/)
  })

  it('a head that is too long, and one that does not end, are given up', async () => {
    const long = await (await createGatewayRig()).raw()
    long.write(`GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`)
    expect(await readAll(long)).toMatch(/^HTTP\/1.1 431 /)
    const limits = { headersMs: 40, requestMs: 40, lookMs: 10 }
    const slow = await (await createGatewayRig({ settings: { limits } })).raw()
    slow.write('GET /v1/models HTTP/1.1\r\nHost: local')
    expect(await readAll(slow)).toMatch(/^HTTP\/1.1 408 /)
  })

  it('a body that does not come is given up', async () => {
    const rig = await createGatewayRig({ settings: { limits: { requestMs: 40, headersMs: 40, lookMs: 10 } } })
    const socket = await rig.raw()
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        'Content-Length: 100\r\n\r\n{',
    )
    expect(await readAll(socket)).toMatch(/408|^$/)
    expect(rig.asked).toEqual([])
  })

  it('more than there may be are closed, and the others go on', async () => {
    const rig = await createGatewayRig({ settings: { limits: { connectionsMax: 2 } }, reply: answerHello })
    const [first] = [await rig.raw(), await rig.raw()]
    const third = await rig.raw()
    third.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    // Reset or closed, but not answered.
    expect(await readAll(third).catch(() => '')).toBe('')
    first.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await readAll(first)).toContain('{"status":"ok"}')
  })

  it.each([
    ['no HTTP', 'hello\r\n\r\n', '400', {}],
    [
      'a head without an end',
      'GET /v1/models HTTP/1.1\r\nHost: local',
      '408',
      { headersMs: 40, requestMs: 40, lookMs: 10 },
    ],
  ])('one that sent %s and keeps its end open is closed all the same', async (_, bytes, status, limits) => {
    const rig = await createGatewayRig({ settings: { limits } })
    const { port } = new URL(await rig.url())
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void socket.destroy())
    socket.write(bytes)
    expect(await readAll(socket)).toContain(`HTTP/1.1 ${status} `)
    const { server } = rig.server
    const count = async (): Promise<number> =>
      new Promise((resolve) => server.getConnections((error, open) => resolve(error ? -1 : open)))
    await expect.poll(count).toBe(0)
  })

  it.each([true, false])(
    'one with several requests that goes away cancels all, streamed: %s',
    async (stream) => {
      const rig = await createGatewayRig()
      const socket = await rig.raw()
      socket.write(toRequest({ stream }).repeat(3))
      const asked = await Promise.all([0, 1, 2].map((index) => rig.nextAsked(index)))
      for (const { say } of asked) say('hello')
      if (stream) await once(socket, 'data')
      socket.resetAndDestroy()
      await expect.poll(() => asked.map(({ isCancelled }) => isCancelled)).toEqual([true, true, true])
      await rig.drain()
    },
  )

  it('one that sends no HTTP during an answer is closed, and nothing becomes a part of the answer', async () => {
    const rig = await createGatewayRig()
    const socket = await rig.raw()
    socket.write(toRequest({ stream: true }))
    const asked = await rig.nextAsked()
    asked.say('hello')
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(head.toString()).toMatch(/^HTTP\/1.1 200 /)
    socket.write('hello\r\n\r\n')
    expect(await readAll(socket).catch(() => '')).not.toContain('HTTP/1.1')
    await expect.poll(() => asked.isCancelled).toBe(true)
  })

  it('one whose reader takes nothing is cut off, and its request cancelled', async () => {
    const rig = await createGatewayRig({ settings: { limits: { readerMs: 50, heartbeatMs: 20 } } })
    const socket = await rig.raw()
    const body = JSON.stringify({ ...question, stream: true })
    socket.pause()
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    )
    const asked = await rig.nextAsked()
    let taken = 0
    // A worker that always has more, as long as what it said is taken.
    asked.log.onRead = (tokens) => {
      taken = tokens
      if (!asked.isCancelled && tokens < 1_000) asked.say('x'.repeat(64 * 1024))
    }
    asked.say('x'.repeat(64 * 1024))
    await expect.poll(() => asked.isCancelled).toBe(true)
    // What the two ends of a connection buffer is some megabytes; nothing more was read from the worker.
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThan(400)
  })
})

describe('errors', () => {
  it('every code has a row, or is this node’s own fault', () => {
    for (const code of errorCodes) {
      const { status, type, code: word } = toErrorRow(code)
      expect(status).toBeGreaterThanOrEqual(400)
      expect(type).toMatch(/_error$/)
      expect(word).toMatch(/^[a-z_]+$/)
    }
    expect(toErrorRow('QM_INTERNAL')).toEqual({ status: 500, type: 'server_error', code: 'internal_error' })
  })

  it.each(Object.entries(errorTable))('%s is %j', async (code, row) => {
    const { chat } = await createGatewayRig({ reply: ({ fail }) => fail(code as keyof typeof errorTable) })
    const reply = await chat()
    expect(reply.statusCode).toBe(row.status)
    expect(reply.headers['x-qmesh-error']).toBe(code)
    expect(reply.json()).toEqual({
      error: { message: expect.any(String), type: row.type, param: null, code: row.code, qmesh_code: code },
    })
    // Whoever is to come back is told when.
    expect('retry-after' in reply.headers).toBe(row.status === 429 || row.status === 503)
  })

  it('what a worker asks for is what is told, rounded up', () => {
    expect(toRetryMs('QM_RATE_LIMITED', 250.2)).toBe(251)
    expect(toRetryMs('QM_RATE_LIMITED', undefined)).toBe(1_000)
    expect(toRetryMs('QM_CONTEXT_EXCEEDED', undefined)).toBeUndefined()
  })

  it('a defect is logged, and shows nothing of its inside', async () => {
    const { get, defects } = await createGatewayRig({
      port: {
        requests: () => {
          throw new TypeError('secret of the inside')
        },
      },
    })
    const reply = await get('/v1/mesh/requests')
    expect(reply.statusCode).toBe(500)
    expect(reply.body).not.toContain('secret')
    expect(defects).toMatchObject([{ message: 'secret of the inside' }])
  })

  it('an unknown path is named', async () => {
    const { get } = await createGatewayRig()
    const reply = await get('/v1/nothing')
    expect(reply.statusCode).toBe(404)
    expect(reply.json()).toMatchObject({
      error: { code: 'unknown_url', message: 'There is no GET /v1/nothing here.' },
    })
    expect((await get('/v1/%')).statusCode).toBe(400)
  })

  it('text of models is sent as JSON and never as a page', async () => {
    const text = '<script>alert(1)</script>\u001b[31m'
    const { chat } = await createGatewayRig({
      reply: (asked) => {
        asked.say(text)
        asked.finish()
      },
    })
    const whole = await chat()
    expect(whole.headers['content-type']).toMatch(/^application\/json/)
    expect(whole.headers['x-content-type-options']).toBe('nosniff')
    expect(whole.body).not.toContain('\u001b')
    const stream = await chat({ stream: true })
    expect(stream.headers['content-type']).toMatch(/^text\/event-stream/)
    expect(stream.headers['x-content-type-options']).toBe('nosniff')
  })
})
