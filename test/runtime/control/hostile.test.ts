import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { encodeFrame, limits } from '../../../protocol/index.ts'
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
