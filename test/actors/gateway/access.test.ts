import { describe, expect, it } from 'vitest'
import { createKeyCheck, isLoopback } from '../../../actors/gateway/access.ts'
import { answerHello, createGatewayRig, question } from '../../support/gateway-rig.ts'

const keys = ['first-key-0123456789', 'other-key-0123456789']

describe('keys', () => {
  it.each([
    ['the bearer token', { authorization: `Bearer ${keys[0]}` }],
    ["Anthropic's header", { 'x-api-key': keys[1] ?? '' }],
  ])('open the gateway as %s', async (_, headers) => {
    const { post } = await createGatewayRig({ settings: { keys }, reply: answerHello })
    expect((await post('/v1/chat/completions', question, headers)).statusCode).toBe(200)
  })

  it.each([
    ['missing_api_key', {}],
    ['missing_api_key', { authorization: 'Basic abc' }],
    ['invalid_api_key', { authorization: 'Bearer wrong' }],
    ['invalid_api_key', { authorization: `Bearer ${keys[0]?.slice(0, -1)}` }],
    ['invalid_api_key', { 'x-api-key': `${keys[0]}x` }],
  ])('%s is told, whatever the path', async (code, headers) => {
    const { post, get, asked } = await createGatewayRig({ settings: { keys } })
    const replies = await Promise.all([
      post('/v1/chat/completions', question, headers),
      get('/v1/models', headers),
      get('/metrics', headers),
      get('/nowhere', headers),
    ])
    for (const reply of replies) {
      expect(reply.statusCode).toBe(401)
      expect(reply.json()).toMatchObject({ error: { type: 'authentication_error', code } })
    }
    expect(asked).toEqual([])
  })

  it('are not needed to see whether the node lives', async () => {
    const { get } = await createGatewayRig({ settings: { keys } })
    expect((await get('/healthz')).statusCode).toBe(200)
    expect((await get('/readyz')).statusCode).toBe(200)
  })

  it('are compared whole: none, a part or several are no key', () => {
    const isKey = createKeyCheck(keys)
    expect(keys.map(isKey)).toEqual([true, true])
    for (const wrong of ['', 'first-key', keys.join(''), `${keys[0]}\0`]) expect(isKey(wrong)).toBe(false)
    expect(createKeyCheck([])('')).toBe(false)
  })
})

describe('names', () => {
  it.each(['localhost', 'localhost:11500', '127.0.0.1:11500', '127.9.9.9', '[::1]:80', 'qmesh.localhost'])(
    '%s is this machine',
    async (host) => {
      const { get } = await createGatewayRig()
      expect((await get('/v1/models', { host })).statusCode).toBe(200)
    },
  )

  it.each([
    'evil.example',
    'evil.example:11500',
    '127.0.0.1.evil.example',
    '192.168.1.5',
    'localhost@evil',
    '[::1',
  ])('"%s" may have been made to point here: it is refused', async (host) => {
    const { get, post, asked } = await createGatewayRig()
    const reply = await get('/v1/models', { host })
    expect(reply.statusCode).toBe(403)
    expect(reply.json()).toMatchObject({ error: { code: 'host_not_allowed' } })
    expect((await post('/v1/chat/completions', question, { host })).statusCode).toBe(403)
    expect(asked).toEqual([])
  })

  it('with keys any name will do, as behind a proxy', async () => {
    const { get } = await createGatewayRig({ settings: { keys } })
    const headers = { host: 'llm.example.org', authorization: `Bearer ${keys[0]}` }
    expect((await get('/v1/models', headers)).statusCode).toBe(200)
  })

  it.each([
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['192.168.1.5', false],
    ['127.evil.example', false],
  ])('%s is loopback: %s', (host, is) => {
    expect(isLoopback(host)).toBe(is)
  })
})

describe('pages', () => {
  const origin = 'http://localhost:5173'

  it('from elsewhere are turned away before anything is done', async () => {
    const { post, asked, server } = await createGatewayRig({ settings: { origins: [origin] } })
    for (const stranger of ['https://evil.example', 'null', 'http://localhost:5174']) {
      const reply = await post('/v1/chat/completions', question, { origin: stranger })
      expect(reply.statusCode).toBe(403)
      expect(reply.json()).toMatchObject({ error: { code: 'origin_not_allowed' } })
      expect(reply.headers).not.toHaveProperty('access-control-allow-origin')
      const beforehand = await server.inject({
        method: 'OPTIONS',
        url: '/v1/chat/completions',
        headers: { host: 'localhost', origin: stranger },
      })
      expect(beforehand.statusCode).toBe(403)
    }
    expect(asked).toEqual([])
  })

  it.each(['cross-site', 'same-site'])(
    'from elsewhere (%s) are turned away also when they only fetch an image or a script',
    async (site) => {
      const { get, server } = await createGatewayRig()
      // What a browser sends for <img src> and for a script's request without CORS: no origin.
      const image = { 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }
      for (const path of ['/v1/mesh/events', '/v1/mesh/models', '/metrics', '/nowhere']) {
        const reply = await get(path, image)
        expect(reply.statusCode).toBe(403)
        expect(reply.json()).toMatchObject({ error: { code: 'origin_not_allowed' } })
      }
      const link = { host: 'localhost', 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate' }
      expect((await server.inject({ url: '/healthz', headers: link })).statusCode).toBe(200)
    },
  )

  it.each(['same-origin', 'none'])('%s: the console and a typed address may ask', async (site) => {
    const { get } = await createGatewayRig()
    expect((await get('/v1/models', { 'sec-fetch-site': site })).statusCode).toBe(200)
  })

  it('that were allowed may ask, and read the headers', async () => {
    const { post, server } = await createGatewayRig({
      settings: { origins: [origin], keys },
      reply: answerHello,
    })
    const beforehand = await server.inject({
      method: 'OPTIONS',
      url: '/v1/chat/completions',
      headers: {
        host: 'localhost',
        origin,
        'access-control-request-headers': 'authorization, x-stainless-os',
      },
    })
    expect(beforehand.statusCode).toBe(204)
    expect(beforehand.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-headers': 'authorization, x-stainless-os',
    })
    const reply = await post('/v1/chat/completions', question, { origin, 'x-api-key': keys[0] ?? '' })
    expect(reply.statusCode).toBe(200)
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': expect.stringContaining('x-qmesh-worker'),
      vary: 'Origin',
    })
  })

  it('of the gateway itself may ask', async () => {
    const { post } = await createGatewayRig({ reply: answerHello })
    const own = { origin: 'http://localhost:11500', host: 'localhost:11500' }
    expect((await post('/v1/chat/completions', question, own)).statusCode).toBe(200)
  })

  it('of the gateway itself may ask behind a proxy with TLS, too', async () => {
    const { post } = await createGatewayRig({ settings: { keys }, reply: answerHello })
    const proxied = { origin: 'https://llm.example.org', host: 'llm.example.org', 'x-api-key': keys[0] ?? '' }
    const ask = (site: string) =>
      post('/v1/chat/completions', question, { ...proxied, 'sec-fetch-site': site })
    expect((await ask('same-origin')).statusCode).toBe(200)
    expect((await ask('same-site')).statusCode).toBe(403)
    // A name that was made to point here is the page's own, too: it needs a key, or the right name.
    const { post: postOpen } = await createGatewayRig()
    const rebound = { ...proxied, 'sec-fetch-site': 'same-origin' }
    expect((await postOpen('/v1/chat/completions', question, rebound)).statusCode).toBe(403)
  })
})
