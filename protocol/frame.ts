import { isUtf8 } from 'node:buffer'
import { QMeshError } from './errors.ts'
import { limits } from './limits.ts'

/** Bytes of the big-endian length in front of every frame. */
export const frameHeaderBytes = 4
const headerRoom = '\0'.repeat(frameHeaderBytes)

/**
 * One frame: 4-byte big-endian length, then that many bytes of UTF-8 JSON.
 *
 * @throws QMeshError `QM_FRAME_TOO_LONG` when the JSON is over the limit: a defect of the sender, not of the peer.
 */
export function encodeFrame(message: object): Buffer {
  // Room for the length is made in the text already: writing once is what makes small frames cheap.
  const frame = Buffer.from(headerRoom + JSON.stringify(message))
  const bytes = frame.length - frameHeaderBytes
  if (bytes > limits.frameBytesMax) {
    throw new QMeshError(
      'QM_FRAME_TOO_LONG',
      `a frame of ${bytes} bytes is over the limit of ${limits.frameBytesMax}`,
    )
  }
  frame.writeUInt32BE(bytes, 0)
  return frame
}

export type DecodedFrame =
  /** `bytes`: of its JSON. */
  | { readonly ok: true; readonly value: unknown; readonly bytes: number }
  | { readonly ok: false; readonly code: 'QM_FRAME_NOT_JSON' | 'QM_FRAME_TOO_LONG' }

const empty = Buffer.alloc(0)

/**
 * Cuts a byte stream into frames, whatever its chunking. It never throws: a frame that is not JSON is one failed
 * result and the stream goes on; a frame over the limit is a failed result after which the decoder yields nothing more
 * (`isBroken`), because the boundary of the next frame would have to be believed.
 *
 * Whole frames are parsed where they lie. Only the beginning of a frame that is not complete is copied, into one
 * buffer that doubles: a peer that sends a byte at a time costs at most twice the bytes it sent.
 */
export class FrameDecoder {
  #partial = empty
  #buffered = 0
  #isBroken = false

  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Bytes held for a frame that is not complete yet, less than one whole frame. */
  get bufferedBytes(): number {
    return this.#buffered
  }

  push(chunk: Uint8Array): DecodedFrame[] {
    const frames: DecodedFrame[] = []
    this.feed(chunk, (frame) => {
      frames.push(frame)
      return true
    })
    return frames
  }

  /**
   * Like `push`, one frame at a time: one chunk may hold millions of tiny frames. When `onFrame` returns false the
   * rest of the stream is dropped.
   */
  feed(chunk: Uint8Array, onFrame: (frame: DecodedFrame) => boolean): void {
    const bytes = Buffer.isBuffer(chunk)
      ? chunk
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let at = 0
    while (!this.#isBroken) {
      // A partial frame takes what it lacks: first its header, then as much as the header says.
      if (this.#buffered > 0) at = this.#complete(bytes, at)
      const isPartial = this.#buffered > 0
      const source = isPartial ? this.#partial : bytes
      const start = isPartial ? 0 : at
      const available = isPartial ? this.#buffered : bytes.length - at
      const length = available < frameHeaderBytes ? Number.NaN : source.readUInt32BE(start)
      if (length > limits.frameBytesMax) {
        this.#break()
        onFrame({ ok: false, code: 'QM_FRAME_TOO_LONG' })
        return
      }
      if (!(available >= frameHeaderBytes + length)) {
        if (!isPartial) this.#append(bytes, at, bytes.length)
        return
      }
      const end = start + frameHeaderBytes + length
      if (isPartial) this.#release()
      else at = end
      if (!onFrame(parse(source, start + frameHeaderBytes, end))) this.#break()
    }
  }

  /** Moves bytes into the partial frame until it is complete or they are used up; returns how far it got. */
  #complete(bytes: Buffer, at: number): number {
    const afterHeader = this.#append(bytes, at, frameHeaderBytes)
    if (this.#buffered < frameHeaderBytes) return afterHeader
    const length = this.#partial.readUInt32BE(0)
    if (length > limits.frameBytesMax) return afterHeader
    return this.#append(bytes, afterHeader, frameHeaderBytes + length)
  }

  /** Copies from `bytes` until `upTo` bytes are held. */
  #append(bytes: Buffer, at: number, upTo: number): number {
    const taken = Math.max(0, Math.min(bytes.length - at, upTo - this.#buffered))
    const needed = this.#buffered + taken
    if (needed > this.#partial.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(upTo, this.#partial.length * 2)))
      this.#partial.copy(grown, 0, 0, this.#buffered)
      this.#partial = grown
    }
    bytes.copy(this.#partial, this.#buffered, at, at + taken)
    this.#buffered = needed
    return at + taken
  }

  #release(): void {
    this.#partial = empty
    this.#buffered = 0
  }

  #break(): void {
    this.#isBroken = true
    this.#release()
  }
}

function parse(source: Buffer, start: number, end: number): DecodedFrame {
  const text = source.toString('utf8', start, end)
  // Bytes that are not UTF-8 become replacement characters, which would change the text silently: they are refused.
  if (text.includes('\uFFFD') && !isUtf8(source.subarray(start, end))) {
    return { ok: false, code: 'QM_FRAME_NOT_JSON' }
  }
  try {
    return { ok: true, value: JSON.parse(text), bytes: end - start }
  } catch {
    return { ok: false, code: 'QM_FRAME_NOT_JSON' }
  }
}
