import { describe, expect, test } from 'vitest'
import { encodeFrame, FrameDecoder, frameHeaderBytes, limits } from '../../protocol/index.ts'

const frameOf = (body: Uint8Array): Buffer => {
  const header = Buffer.alloc(frameHeaderBytes)
  header.writeUInt32BE(body.length)
  return Buffer.concat([header, body])
}

/** A JSON string of exactly `bytes` bytes. */
const jsonOfBytes = (bytes: number): Buffer => Buffer.from(JSON.stringify('x'.repeat(bytes - 2)))

describe('encodeFrame', () => {
  test('writes the length of the JSON in four big-endian bytes and then the JSON', () => {
    expect(encodeFrame({ a: 'é' }).toString('hex')).toBe(
      `0000000a${Buffer.from('{"a":"é"}').toString('hex')}`,
    )
  })

  test('a message of exactly the limit passes and one byte more is refused with a code', () => {
    const overhead = Buffer.byteLength(JSON.stringify({ t: '' }))
    const full = { t: 'x'.repeat(limits.frameBytesMax - overhead) }
    expect(encodeFrame(full)).toHaveLength(frameHeaderBytes + limits.frameBytesMax)
    expect(() => encodeFrame({ t: `${full.t}x` })).toThrow(
      expect.objectContaining({ code: 'QM_FRAME_TOO_LONG' }),
    )
  })
})

describe('FrameDecoder', () => {
  test('a frame of exactly the limit is decoded', () => {
    const [frame] = new FrameDecoder().push(frameOf(jsonOfBytes(limits.frameBytesMax)))
    expect(frame).toMatchObject({ ok: true })
  })

  test('one byte over the limit breaks the stream at its header, before any of its body is kept', () => {
    const decoder = new FrameDecoder()
    const header = Buffer.alloc(frameHeaderBytes)
    header.writeUInt32BE(limits.frameBytesMax + 1)
    expect(decoder.push(header)).toEqual([{ ok: false, code: 'QM_FRAME_TOO_LONG' }])
    expect(decoder.isBroken).toBe(true)
    expect(decoder.push(encodeFrame({ a: 1 }))).toEqual([])
    expect(decoder.bufferedBytes).toBe(0)
  })

  test.each([
    ['an empty body', Buffer.alloc(0)],
    ['half a JSON text', Buffer.from('{"a":')],
    ['two JSON texts', Buffer.from('{}{}')],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['an overlong encoding', Buffer.from([0x22, 0xc0, 0x80, 0x22])],
    ['a byte order mark', Buffer.from('\uFEFF{}')],
    ['NaN', Buffer.from('NaN')],
  ])('%s is one failed result and the next frame is read', (_, body) => {
    const decoder = new FrameDecoder()
    expect(decoder.push(Buffer.concat([frameOf(body), encodeFrame({ a: 1 })]))).toEqual([
      { ok: false, code: 'QM_FRAME_NOT_JSON' },
      { ok: true, value: { a: 1 }, bytes: 7 },
    ])
  })

  test('a replacement character that was really sent is kept', () => {
    expect(new FrameDecoder().push(encodeFrame({ text: '\uFFFD' }))).toEqual([
      { ok: true, value: { text: '\uFFFD' }, bytes: 14 },
    ])
  })

  test('deeply nested JSON is read or refused without exhausting the stack', () => {
    const depth = limits.frameBytesMax / 2
    const body = Buffer.from('['.repeat(depth) + ']'.repeat(depth))
    expect(new FrameDecoder().push(frameOf(body))).toHaveLength(1)
  })

  test('a full frame that arrives byte by byte costs little memory and time beyond its size', () => {
    const decoder = new FrameDecoder()
    const frame = frameOf(jsonOfBytes(limits.frameBytesMax))
    const before = process.memoryUsage()
    for (let at = 0; at < frame.length - 1; at++) decoder.push(frame.subarray(at, at + 1))
    const after = process.memoryUsage()
    expect(decoder.bufferedBytes).toBe(frame.length - 1)
    // One Buffer object for each byte would take over 100 MB here.
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(64 * 2 ** 20)
    expect(decoder.push(frame.subarray(-1))).toHaveLength(1)
  })

  test('a partial frame does not keep the chunk it came in alive or change with it', () => {
    const decoder = new FrameDecoder()
    const frame = encodeFrame({ text: 'hello' })
    const first = Buffer.from(frame.subarray(0, 9))
    decoder.push(first)
    first.fill(0)
    expect(decoder.push(frame.subarray(9))).toEqual([{ ok: true, value: { text: 'hello' }, bytes: 16 }])
  })

  test('whoever says stop gets no further frame of the chunk', () => {
    const decoder = new FrameDecoder()
    const seen: unknown[] = []
    decoder.feed(Buffer.concat([encodeFrame({ n: 1 }), encodeFrame({ n: 2 })]), (frame) => {
      seen.push(frame)
      return false
    })
    expect(seen).toHaveLength(1)
    expect(decoder.push(encodeFrame({ n: 3 }))).toEqual([])
  })
})
