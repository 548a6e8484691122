import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { AnswerEmitter } from '../../../actors/request/answer-events.ts'
import type { AnswerChunk } from '../../../actors/request/answer-log.ts'
import { encodeFrame, limits, QMeshError } from '../../../protocol/index.ts'
import { controlConnectionsMax } from '../../../runtime/control/messages.ts'
import { createControlRig, readReplies, sampleStatus } from '../support/control-rig.ts'

const request = (fields: object = {}): Buffer =>
  encodeFrame({ version: 1, command: 'status', args: {}, ...fields })

function header(length: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes
}

const raw = (body: string): Buffer => Buffer.concat([header(Buffer.byteLength(body)), Buffer.from(body)])

describe('whatever comes over the control socket', () => {
  it.each<[string, Buffer, string]>([
    ['a frame too long', header(limits.frameBytesMax + 1), 'QM_FRAME_TOO_LONG'],
    ['a frame that is not JSON', raw('{'), 'QM_FRAME_NOT_JSON'],
    ['bytes that are not UTF-8', Buffer.concat([header(2), Buffer.from([0xff, 0xfe])]), 'QM_FRAME_NOT_JSON'],
    ['a frame that is no request', raw('[]'), 'QM_MESSAGE_INVALID'],
    ['an empty frame', raw(''), 'QM_FRAME_NOT_JSON'],
    ['a request without a version', encodeFrame({ command: 'status' }), 'QM_MESSAGE_INVALID'],
    ['another version', request({ version: 2 }), 'QM_PROTOCOL_VERSION'],
    ['an unknown command', request({ command: 'rm' }), 'QM_MESSAGE_INVALID'],
    ['a command of every object', request({ command: '__proto__' }), 'QM_MESSAGE_INVALID'],
    ['a prompt without messages', request({ command: 'ask' }), 'QM_REQUEST_INVALID'],
    [
      'unknown options',
      request({ command: 'ask', args: { messages: [{ role: 'user', content: 'x' }], a: 1 } }),
      'QM_REQUEST_INVALID',
    ],
    ['two requests at once', Buffer.concat([request(), request()]), 'QM_MESSAGE_INVALID'],
  ])('%s is answered with a code, and the next client is served', async (_, bytes, code) => {
    const { raw: connect, client, defects, asked } = await createControlRig()
    const socket = await connect()
    socket.write(bytes)
    expect(await readReplies(socket)).toEqual([
      { type: 'error', code, message: expect.any(String) as string },
    ])
    expect(await client.status()).toEqual(sampleStatus)
    expect(asked).toEqual([])
    expect(defects).toEqual([])
  })

  it('may come one byte at a time', async () => {
    const { raw: connect } = await createControlRig()
    const socket = await connect()
    for (const byte of request()) socket.write(Buffer.of(byte))
    expect(await readReplies(socket)).toEqual([{ type: 'result', value: sampleStatus }])
  })

  it('may be nothing: the connection is closed in time', async () => {
    const { raw: connect } = await createControlRig({ requestTimeoutMs: 20 })
    expect(await readReplies(await connect())).toMatchObject([{ type: 'error', code: 'QM_HELLO_TIMEOUT' }])
  })

  it('may be an answer that nobody reads: it is cancelled, and its place is free again', async () => {
    const {
      raw: connect,
      client,
      asked,
      defects,
    } = await createControlRig({
      chunks: () => flood(100_000),
      drainTimeoutMs: 200,
    })
    const ask = request({ command: 'ask', args: { messages: [{ role: 'user', content: 'x' }] } })
    const sockets = await Promise.all(Array.from({ length: controlConnectionsMax }, connect))
    for (const socket of sockets) socket.write(ask)
    await vi.waitFor(() => {
      expect(asked).toHaveLength(controlConnectionsMax)
      expect(asked.every(({ isLeft, options }) => isLeft && options.signal?.aborted)).toBe(true)
    }, 10_000)
    await vi.waitFor(async () => expect(await client.status()).toEqual(sampleStatus), 10_000)
    expect(defects).toEqual([])
  })

  it('may be an answer without a token, whose notices nobody reads', async () => {
    const events = new AnswerEmitter()
    let signal: AbortSignal | undefined
    const { raw: connect, defects } = await createControlRig({
      drainTimeoutMs: 1_000,
      port: {
        ask: (_, options) => {
          signal = options.signal
          return {
            result: new Promise(() => undefined),
            on: (name, listener) => events.on(name, listener),
            cancel: () => undefined,
            // Its first chunk comes never: only the signal ends it.
            [Symbol.asyncIterator]: () => ({
              next: async () => {
                await once(options.signal ?? new AbortController().signal, 'abort')
                throw new QMeshError('QM_CANCELLED')
              },
            }),
          }
        },
      },
    })
    const socket = await connect()
    socket.write(request({ command: 'ask', args: { messages: [{ role: 'user', content: 'x' }] } }))
    await vi.waitFor(() => expect(signal).toBeDefined(), 20_000)
    await vi.waitFor(() => {
      for (let notice = 0; notice < 500; notice++)
        events.emit('queued', { position: notice, etaMs: 0, promptTokens: 1 })
      expect(signal?.aborted).toBe(true)
    }, 10_000)
    expect(signal?.reason).toMatchObject({ code: 'QM_READER_TOO_SLOW' })
    // Whoever reads on before the connection is cut learns why.
    expect((await readReplies(socket)).at(-1)).toMatchObject({ code: 'QM_READER_TOO_SLOW' })
    expect(defects).toEqual([])
  })

  it('may be one too many: it is told so, until another one ends', async () => {
    const { raw: connect, client, defects } = await createControlRig({ requestTimeoutMs: 600_000 })
    const [first] = await Promise.all(Array.from({ length: controlConnectionsMax }, connect))
    await expect(client.status()).rejects.toMatchObject({ code: 'QM_TOO_MANY_REQUESTS' })
    first?.destroy()
    await vi.waitFor(async () => expect(await client.status()).toEqual(sampleStatus), 20_000)
    expect(defects).toEqual([])
  })

  it('may end before it said anything', async () => {
    const { raw: connect, client, defects } = await createControlRig()
    const socket = await connect()
    socket.end(request().subarray(0, 7))
    socket.resume()
    await once(socket, 'close')
    expect(await client.status()).toEqual(sampleStatus)
    expect(defects).toEqual([])
  })
})

async function* flood(count: number): AsyncGenerator<AnswerChunk> {
  for (let token = 0; token < count; token++) yield { text: 'x'.repeat(100), tokens: [token] }
}
