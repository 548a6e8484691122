/** The parts of a GGUF file, and how to write them; see `tiny-gguf.ts` and `tiny-bert.ts` for whole models. */

export const alignment = 32

/** GGUF metadata value types. */
const ggufType = { uint8: 0, uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const
/** llama.cpp token types. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 } as const

class Writer {
  readonly #parts: Buffer[] = []
  bytes = 0

  raw(part: Buffer): this {
    this.#parts.push(part)
    this.bytes += part.length
    return this
  }

  u32(value: number): this {
    const part = Buffer.alloc(4)
    part.writeUInt32LE(value)
    return this.raw(part)
  }

  u64(value: number): this {
    const part = Buffer.alloc(8)
    part.writeBigUInt64LE(BigInt(value))
    return this.raw(part)
  }

  f32(value: number): this {
    const part = Buffer.alloc(4)
    part.writeFloatLE(value)
    return this.raw(part)
  }

  string(value: string): this {
    const part = Buffer.from(value)
    return this.u64(part.length).raw(part)
  }

  pad(): this {
    return this.raw(Buffer.alloc((alignment - (this.bytes % alignment)) % alignment))
  }

  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** A value of the metadata; of an array, what its items are: 32-bit integers where it is left out. */
export type GgufValue = readonly [
  keyof typeof ggufType,
  string | number | boolean | readonly (string | number)[],
  ('string' | 'float32' | 'int32' | 'uint8')?,
]

function writeValue(writer: Writer, [type, value, items = 'int32']: GgufValue): void {
  writer.u32(ggufType[type])
  if (Array.isArray(value)) {
    writer.u32(ggufType[items]).u64(value.length)
    for (const item of value as readonly (string | number)[]) {
      if (typeof item === 'string') writer.string(item)
      else if (items === 'float32') writer.f32(item)
      else if (items === 'uint8') writer.raw(Buffer.from([item]))
      else writer.u32(item)
    }
  } else if (type === 'float32') writer.f32(value as number)
  else if (type === 'bool') writer.raw(Buffer.from([value === true ? 1 : 0]))
  else if (type === 'string') writer.string(value as string)
  else writer.u32(value as number)
}

/** Mulberry32 and Box–Muller: normally distributed weights from a seed. */
function createGaussian(seed: number): () => number {
  let state = seed >>> 0
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

export interface GgufTensor {
  readonly name: string
  /** Fastest first, as GGUF has it. */
  readonly shape: readonly number[]
  /** Of its random numbers; 0 means ones: what a norm starts with. */
  readonly deviation: number
}

/**
 * The bytes of a whole file, with random 32-bit weights.
 *
 * @param alter may change a tensor's numbers before they are written
 */
export function createGguf(
  metadata: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly GgufTensor[],
  seed: number,
  alter: (name: string, values: Float32Array) => void = () => undefined,
): Buffer {
  const writer = new Writer().raw(Buffer.from('GGUF')).u32(3).u64(tensors.length).u64(metadata.length)
  for (const [key, value] of metadata) writeValue(writer.string(key), value)
  const sizes = tensors.map(({ shape }) => shape.reduce((product, side) => product * side, 1))
  let offset = 0
  for (const [index, { name, shape }] of tensors.entries()) {
    writer.string(name).u32(shape.length)
    for (const side of shape) writer.u64(side)
    writer.u32(0).u64(offset)
    offset += Math.ceil(((sizes[index] ?? 0) * 4) / alignment) * alignment
  }
  writer.pad()
  const gaussian = createGaussian(seed)
  for (const [index, { name, deviation }] of tensors.entries()) {
    const values = Float32Array.from({ length: sizes[index] ?? 0 }, () =>
      deviation === 0 ? 1 : gaussian() * deviation,
    )
    alter(name, values)
    writer.raw(Buffer.from(values.buffer)).pad()
  }
  return writer.done()
}
