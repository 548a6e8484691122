import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { QMeshError } from '../../../protocol/index.ts'

/**
 * Bounds of a GGUF header. Real files stay far below: the largest vocabularies have some 260,000 tokens, the largest
 * models some 2,000 tensors.
 */
export const ggufLimits = {
  headerBytesMax: 256 * 1024 * 1024,
  metadataMax: 65_536,
  tensorsMax: 131_072,
  arrayItemsMax: 4_194_304,
  stringBytesMax: 16 * 1024 * 1024,
  keyBytesMax: 65_535,
  nameBytesMax: 1_024,
  dimensionsMax: 4,
  /** Of the engine. */
  layersMax: 512,
} as const

export interface GgufHeader {
  readonly version: number
  readonly tensorCount: number
  /** Scalars of the metadata; arrays and strings over 1 KiB are checked and skipped. */
  readonly metadata: ReadonlyMap<string, string | number | bigint | boolean>
  /** Every key of the metadata, those of skipped values too. */
  readonly keys: ReadonlySet<string>
  /** Numbers in the tensors of each type, by the type's number in ggml. */
  readonly elements: ReadonlyMap<number, number>
  /** Byte at which tensor data begins. */
  readonly dataOffset: number
}

const invalid = (detail: string): QMeshError => new QMeshError('QM_MODEL_FILE_INVALID', detail)

/** Bytes of each fixed-size metadata type, by its number in the file; 8 is a string, 9 an array. */
const scalarBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
}
const stringType = 8
const arrayType = 9

/**
 * Elements and bytes of one block of each tensor type, by its number in ggml. A type that is not listed belongs to a
 * later engine: its tensor is checked for its beginning only.
 */
const blocks: Readonly<Record<number, readonly [elements: number, bytes: number]>> = {
  0: [1, 4],
  1: [1, 2],
  2: [32, 18],
  3: [32, 20],
  6: [32, 22],
  7: [32, 24],
  8: [32, 34],
  9: [32, 36],
  10: [256, 84],
  11: [256, 110],
  12: [256, 144],
  13: [256, 176],
  14: [256, 210],
  15: [256, 292],
  16: [256, 66],
  17: [256, 74],
  18: [256, 98],
  19: [256, 50],
  20: [32, 18],
  21: [256, 110],
  22: [256, 82],
  23: [256, 136],
  24: [1, 1],
  25: [1, 2],
  26: [1, 4],
  27: [1, 8],
  28: [1, 8],
  29: [256, 56],
  30: [1, 2],
  34: [256, 54],
  35: [256, 66],
  39: [32, 17],
}

/**
 * Reads a GGUF header with every count and length checked against its bound and the file's size, and every tensor
 * against the end of the file, so that native code, which maps what the header says, never sees a lying one.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING` when it cannot be read, `QM_MODEL_FILE_INVALID` saying what is wrong
 */
export function checkGgufFile(path: string): GgufHeader {
  let file: number
  try {
    // Opening a named pipe would otherwise wait for whoever writes into it. Windows has neither.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
    throw new QMeshError('QM_MODEL_FILE_MISSING', `the model file "${path}" cannot be read (${reason})`, {
      cause: error,
    })
  }
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) {
      throw new QMeshError('QM_MODEL_FILE_MISSING', `"${path}" is not a file; give the path of a GGUF file`)
    }
    return checkHeader(new HeaderReader(file, stats.size, path))
  } finally {
    closeSync(file)
  }
}

function checkHeader(reader: HeaderReader): GgufHeader {
  const { path } = reader
  if (reader.size < 24 || reader.take(4).toString('latin1') !== 'GGUF') {
    throw invalid(`"${path}" is not a GGUF file: it does not begin with "GGUF"`)
  }
  const version = reader.u32()
  if (version !== 2 && version !== 3) {
    throw new QMeshError(
      'QM_MODEL_UNSUPPORTED',
      `"${path}" is GGUF version ${version}; versions 2 and 3 in little-endian are supported`,
    )
  }
  const tensorCount = reader.count('tensors', ggufLimits.tensorsMax)
  const metadataCount = reader.count('metadata entries', ggufLimits.metadataMax)
  const metadata = new Map<string, string | number | bigint | boolean>()
  const keys = new Set<string>()
  for (let index = 0; index < metadataCount; index++) {
    const key = reader.string(ggufLimits.keyBytesMax)
    if (keys.has(key)) throw invalid(`"${path}" has the metadata key "${key}" twice`)
    keys.add(key)
    const value = reader.value(reader.u32(), 0)
    if (value !== undefined) metadata.set(key, value)
  }
  const extents = Array.from({ length: tensorCount }, () => readTensor(reader))
  const alignment = Number(metadata.get('general.alignment') ?? 32)
  if (!Number.isInteger(alignment) || alignment < 1 || alignment > 65_536 || alignment % 8 !== 0) {
    throw invalid(`"${path}" states an alignment of ${alignment}`)
  }
  const dataOffset = Math.ceil(reader.offset / alignment) * alignment
  for (const { name, offset, bytes } of extents) {
    if (dataOffset + offset + bytes > reader.size) {
      throw invalid(
        `"${path}" is cut short: tensor "${name}" ends at byte ${dataOffset + offset + bytes}, the file at ` +
          `${reader.size}; fetch it again`,
      )
    }
  }
  checkHyperparameters(path, metadata)
  const elements = new Map<number, number>()
  for (const tensor of extents) elements.set(tensor.type, (elements.get(tensor.type) ?? 0) + tensor.elements)
  return { version, tensorCount, metadata, keys, elements, dataOffset }
}

/** Values that the engine asserts instead of checking: a wrong one would end the whole process. */
function checkHyperparameters(path: string, metadata: GgufHeader['metadata']): void {
  const architecture = String(metadata.get('general.architecture'))
  const get = (name: string): number | undefined => {
    const value = metadata.get(`${architecture}.${name}`)
    return value === undefined ? undefined : Number(value)
  }
  const refuse = (name: string, value: number): never => {
    throw invalid(`"${path}" states ${architecture}.${name} as ${value}, which no model has`)
  }
  const layers = get('block_count')
  if (layers !== undefined && !(layers >= 1 && layers <= ggufLimits.layersMax)) refuse('block_count', layers)
  for (const name of ['attention.layer_norm_rms_epsilon', 'attention.layer_norm_epsilon']) {
    const epsilon = get(name)
    if (epsilon !== undefined && !(epsilon >= 0 && epsilon < 1)) refuse(name, epsilon)
  }
  // Others, like recurrent ones, write 0 where they have no such part.
  if (architecture !== 'llama') return
  for (const name of ['feed_forward_length', 'attention.head_count', 'attention.head_count_kv']) {
    const value = get(name)
    if (value !== undefined && !(value >= 1)) refuse(name, value)
  }
  const heads = get('attention.head_count')
  const keyHeads = get('attention.head_count_kv')
  if (heads !== undefined && keyHeads !== undefined && heads % keyHeads !== 0) {
    refuse('attention.head_count_kv', keyHeads)
  }
}

interface TensorExtent {
  readonly name: string
  readonly type: number
  readonly elements: number
  readonly offset: number
  readonly bytes: number
}

function readTensor(reader: HeaderReader): TensorExtent {
  const name = reader.string(ggufLimits.nameBytesMax)
  const dimensions = reader.u32()
  if (dimensions > ggufLimits.dimensionsMax) {
    throw invalid(`"${reader.path}" states ${dimensions} dimensions for tensor "${name}"`)
  }
  let elements = 1
  for (let index = 0; index < dimensions; index++)
    elements *= reader.count('elements', Number.MAX_SAFE_INTEGER)
  const type = reader.u32()
  const offset = reader.count('bytes of offset', Number.MAX_SAFE_INTEGER)
  const [blockElements, blockBytes] = blocks[type] ?? [1, 0]
  return { name, type, elements, offset, bytes: Math.ceil(elements / blockElements) * blockBytes }
}

const windowBytes = 1024 * 1024

/** Reads forward through a window, so that a large vocabulary does not mean a large buffer. */
class HeaderReader {
  offset = 0
  readonly size: number
  readonly path: string
  readonly #file: number
  #window = Buffer.alloc(0)
  #windowOffset = 0

  constructor(file: number, size: number, path: string) {
    this.#file = file
    this.size = size
    this.path = path
  }

  take(bytes: number): Buffer {
    if (this.offset + bytes > Math.min(this.size, ggufLimits.headerBytesMax)) {
      throw invalid(`"${this.path}" is cut short: its header ends after the file; fetch it again`)
    }
    const start = this.offset - this.#windowOffset
    if (start + bytes > this.#window.length) this.#fill(Math.max(bytes, windowBytes))
    const from = this.offset - this.#windowOffset
    this.offset += bytes
    return this.#window.subarray(from, from + bytes)
  }

  skip(bytes: number): void {
    if (this.offset + bytes > Math.min(this.size, ggufLimits.headerBytesMax)) this.take(bytes)
    this.offset += bytes
  }

  u32(): number {
    return this.take(4).readUInt32LE()
  }

  count(what: string, max: number): number {
    const value = this.take(8).readBigUInt64LE()
    if (value > BigInt(max))
      throw invalid(`"${this.path}" states ${value} ${what}, at most ${max} are accepted`)
    return Number(value)
  }

  string(bytesMax: number): string {
    return this.take(this.count('bytes of text', bytesMax)).toString('utf8')
  }

  /** One metadata value; undefined for what is only checked and skipped. */
  value(type: number, depth: number): string | number | bigint | boolean | undefined {
    if (type === arrayType) return this.#array(depth)
    if (type === stringType) {
      const bytes = this.count('bytes of text', ggufLimits.stringBytesMax)
      if (bytes <= 1_024) return this.take(bytes).toString('utf8')
      this.skip(bytes)
      return undefined
    }
    const bytes = scalarBytes[type]
    if (bytes === undefined) throw invalid(`"${this.path}" has metadata of the unknown type ${type}`)
    return toScalar(type, this.take(bytes))
  }

  #array(depth: number): undefined {
    if (depth > 3) throw invalid(`"${this.path}" has metadata arrays nested too deep`)
    const type = this.u32()
    const items = this.count('items in an array', ggufLimits.arrayItemsMax)
    const bytes = scalarBytes[type]
    if (bytes !== undefined) this.skip(items * bytes)
    else for (let index = 0; index < items; index++) this.value(type, depth + 1)
    return undefined
  }

  #fill(bytes: number): void {
    const buffer = Buffer.alloc(Math.min(bytes, this.size - this.offset))
    let filled = 0
    while (filled < buffer.length) {
      const read = readSync(this.#file, buffer, filled, buffer.length - filled, this.offset + filled)
      if (read === 0) throw invalid(`"${this.path}" became shorter while it was read`)
      filled += read
    }
    this.#window = buffer
    this.#windowOffset = this.offset
  }
}

function toScalar(type: number, bytes: Buffer): number | bigint | boolean {
  switch (type) {
    case 0:
      return bytes.readUInt8()
    case 1:
      return bytes.readInt8()
    case 2:
      return bytes.readUInt16LE()
    case 3:
      return bytes.readInt16LE()
    case 4:
      return bytes.readUInt32LE()
    case 5:
      return bytes.readInt32LE()
    case 6:
      return bytes.readFloatLE()
    case 7:
      return bytes.readUInt8() !== 0
    case 10:
      return bytes.readBigUInt64LE()
    case 11:
      return bytes.readBigInt64LE()
    default:
      return bytes.readDoubleLE()
  }
}
