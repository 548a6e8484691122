import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeFrame, FrameDecoder, frameHeaderBytes, limits } from '../../protocol/index.ts'

const messages = fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), { maxLength: 20 })
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 })

/** Cuts bytes at the given fractions of their length: one chunk, empty chunks and single bytes included. */
function chunksOf(bytes: Buffer, fractions: readonly number[]): Buffer[] {
  const points = fractions.map((fraction) => Math.round(fraction * bytes.length)).toSorted((a, b) => a - b)
  return [0, ...points].map((from, index) => bytes.subarray(from, points[index] ?? bytes.length))
}

test('frames come out as they went in, whatever the chunking', () => {
  fc.assert(
    fc.property(messages, cuts, (sent, fractions) => {
      const decoder = new FrameDecoder()
      const bytes = Buffer.concat(sent.map((message) => encodeFrame(message)))
      const received = chunksOf(bytes, fractions).flatMap((chunk) => decoder.push(chunk))
      // JSON has no negative zero and no undefined: what crosses is what JSON can say.
      const expected = sent.map((value) => {
        const json = JSON.stringify(value)
        return { ok: true, value: JSON.parse(json) as unknown, bytes: Buffer.byteLength(json) }
      })
      expect(received).toEqual(expected)
      expect(decoder.bufferedBytes).toBe(0)
    }),
  )
})

test('any bytes end in values or codes, the same for every chunking, and memory stays bounded', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4_096 }), cuts, (noise, fractions) => {
      const bytes = Buffer.from(noise)
      const whole = new FrameDecoder()
      const expected = whole.push(bytes)
      const decoder = new FrameDecoder()
      const received = chunksOf(bytes, fractions).flatMap((chunk) => {
        const frames = decoder.push(chunk)
        expect(decoder.bufferedBytes).toBeLessThan(frameHeaderBytes + limits.frameBytesMax)
        return frames
      })
      expect(received).toEqual(expected)
      expect(decoder.isBroken).toBe(whole.isBroken)
      const codes = received.flatMap((frame) => (frame.ok ? [] : frame.code))
      expect(codes.every((code) => code.startsWith('QM_FRAME_'))).toBe(true)
    }),
  )
})

/** Noise alone is nearly always a frame that is too long, so this one gets its lengths right and little else. */
test('well-framed garbage fails frame by frame and never takes the stream with it', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 30 }), cuts, (bodies, fractions) => {
      const bytes = Buffer.concat(
        bodies.map((body) => {
          const header = Buffer.alloc(frameHeaderBytes)
          header.writeUInt32BE(body.length)
          return Buffer.concat([header, body])
        }),
      )
      const decoder = new FrameDecoder()
      const received = chunksOf(bytes, fractions).flatMap((chunk) => decoder.push(chunk))
      expect(received).toHaveLength(bodies.length)
      expect(decoder.isBroken).toBe(false)
    }),
  )
})
