import { QMeshError } from './errors.ts'
import { limits } from './limits.ts'

/** Bytes of the big-endian length in front of every frame. */
export const frameHeaderBytes = 4

/**
 * One frame: 4-byte big-endian length, then that many bytes of UTF-8 JSON.
 *
 * @throws QMeshError `QM_FRAME_TOO_LONG` when the JSON is over the limit: a defect of the sender, not of the peer.
 */
export function encodeFrame(message: object): Buffer {
  const json = JSON.stringify(message)
  const bytes = Buffer.byteLength(json)
  if (bytes > limits.frameBytesMax) {
    throw new QMeshError(
      'QM_FRAME_TOO_LONG',
      `a frame of ${bytes} bytes is over the limit of ${limits.frameBytesMax}`,
    )
  }
  const frame = Buffer.allocUnsafe(frameHeaderBytes + bytes)
  frame.writeUInt32BE(bytes, 0)
  frame.write(json, frameHeaderBytes)
  return frame
}

export type DecodedFrame =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: 'QM_FRAME_NOT_JSON' | 'QM_FRAME_TOO_LONG' }

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Cuts a byte stream into frames, whatever its chunking. It never throws: a frame that is not JSON is one failed
 * result and the stream goes on; a frame over the limit is a failed result after which the decoder yields nothing more
 * (`isBroken`), because the boundary of the next frame would have to be believed.
 */
export class FrameDecoder {
  #chunks: Buffer[] = []
  #buffered = 0
  #isBroken = false

  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Bytes held for a frame that is not complete yet. At most one frame's worth plus one chunk. */
  get bufferedBytes(): number {
    return this.#buffered
  }

  push(chunk: Uint8Array): DecodedFrame[] {
    const frames: DecodedFrame[] = []
    if (this.#isBroken || chunk.byteLength === 0) return frames
    this.#chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    this.#buffered += chunk.byteLength
    while (this.#buffered >= frameHeaderBytes) {
      const length = this.#peekLength()
      if (length > limits.frameBytesMax) {
        this.#isBroken = true
        this.#chunks = []
        this.#buffered = 0
        frames.push({ ok: false, code: 'QM_FRAME_TOO_LONG' })
        break
      }
      if (this.#buffered < frameHeaderBytes + length) break
      frames.push(parse(this.#take(frameHeaderBytes + length).subarray(frameHeaderBytes)))
    }
    return frames
  }

  #peekLength(): number {
    const first = this.#chunks[0]
    if (first && first.length >= frameHeaderBytes) return first.readUInt32BE(0)
    return this.#merged().readUInt32BE(0)
  }

  #take(bytes: number): Buffer {
    const first = this.#chunks[0]
    const source = first && first.length >= bytes ? first : this.#merged()
    this.#buffered -= bytes
    if (source.length === bytes) this.#chunks.shift()
    else this.#chunks[0] = source.subarray(bytes)
    return source.subarray(0, bytes)
  }

  #merged(): Buffer {
    const merged = Buffer.concat(this.#chunks)
    this.#chunks = [merged]
    return merged
  }
}

function parse(body: Buffer): DecodedFrame {
  try {
    return { ok: true, value: JSON.parse(utf8.decode(body)) }
  } catch {
    return { ok: false, code: 'QM_FRAME_NOT_JSON' }
  }
}
