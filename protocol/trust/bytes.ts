import { QMeshError } from '../errors.ts'

/** Says that something signed cannot be what it claims to be. */
export const malformed = (detail: string): QMeshError =>
  new QMeshError('QM_EVIDENCE_INVALID', `signed evidence is malformed: ${detail}`)

/** Appends to a growing list of bytes, little-endian. */
export class ByteWriter {
  readonly #parts: Buffer[] = []

  bytes(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes))
    return this
  }

  /** Unsigned, of 1, 2 or 4 bytes. */
  uint(value: number, size: 1 | 2 | 4): this {
    const part = Buffer.alloc(size)
    part.writeUIntLE(value, 0, size)
    return this.bytes(part)
  }

  /** LEB128 of a safe integer that is not negative: 1 to 8 bytes. */
  varint(value: number): this {
    const part: number[] = []
    let rest = value
    while (rest >= 0x80) {
      part.push((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    part.push(rest)
    return this.bytes(Uint8Array.from(part))
  }

  toBuffer(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Takes apart what a stranger sent. Every method throws `QM_EVIDENCE_INVALID` where the bytes do not hold it. */
export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  bytes(length: number): Buffer {
    if (this.left < length) throw malformed(`${length} more bytes were expected, and ${this.left} are left`)
    const part = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return part
  }

  uint(size: 1 | 2 | 4): number {
    return this.bytes(size).readUIntLE(0, size)
  }

  /** Only the shortest form: two encodings of one value would have two signatures. */
  varint(): number {
    let value = 0
    let scale = 1
    for (let count = 0; count < 8; count++) {
      const byte = this.uint(1)
      value += (byte & 0x7f) * scale
      scale *= 0x80
      if (byte >= 0x80) continue
      if (byte === 0 && count > 0) throw malformed('a number is longer than it needs to be')
      if (!Number.isSafeInteger(value)) break
      return value
    }
    throw malformed('a number is too large')
  }

  end(): void {
    if (this.left > 0) throw malformed(`${this.left} bytes follow its end`)
  }
}
