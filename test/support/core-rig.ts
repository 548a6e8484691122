import { createHash, randomFillSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Hypercore from 'hypercore'
import type { NoiseStream } from 'hyperswarm'
import { buildTree } from '../../actors/models/seeding/build-tree.ts'
import { CoreExchange, type ExchangeOptions, type Offer } from '../../actors/models/seeding/core-exchange.ts'
import type { FetchTarget } from '../../actors/models/seeding/core-fetch.ts'
import { toCoreKey } from '../../actors/models/seeding/static-core.ts'
import { RangeSet, type ByteRange } from '../../machines/models/range-set.ts'

/** A file on its way, in memory. */
export class MemoryTarget implements FetchTarget {
  readonly path: string
  readonly bytes: number
  readonly data: Buffer
  readonly ranges = new RangeSet()
  /** Bytes that were written, twice if written twice. */
  written = 0
  /** Set to make the disk fail. */
  failure: Error | undefined

  constructor(folder: string, bytes: number) {
    mkdirSync(folder, { recursive: true })
    this.path = join(folder, 'data')
    this.bytes = bytes
    this.data = Buffer.alloc(bytes)
  }

  has(start: number, end: number): boolean {
    return this.ranges.has(start, end)
  }
  missing(): readonly ByteRange[] {
    return this.ranges.missing(this.bytes)
  }
  write(start: number, data: Uint8Array): Promise<void> {
    if (this.failure) return Promise.reject(this.failure)
    this.data.set(data, start)
    this.written += data.byteLength
    this.ranges.add(start, start + data.byteLength)
    return Promise.resolve()
  }
  read(start: number, end: number): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.data.subarray(start, end)))
  }
  forget(start: number, end: number): Promise<void> {
    this.ranges.remove(start, end)
    return Promise.resolve()
  }
}

export const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** A file, of random bytes unless others are given, to be offered. */
export async function createOffer(
  folder: string,
  bytes: number,
  data: Buffer = randomFillSync(Buffer.alloc(bytes)),
): Promise<Offer & { readonly data: Buffer; readonly bytes: number }> {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'model.gguf')
  writeFileSync(path, data)
  const tree = await buildTree(path)
  const key = toCoreKey(tree)
  if (key === undefined) throw new Error('a whole tree has roots')
  return { key, path, data, bytes, tree: () => Promise.resolve(tree) }
}

export interface Ends {
  readonly left: NoiseStream
  readonly right: NoiseStream
  close(): void
}

/** Two ends of an encrypted connection within this process. */
export function createConnection(): Ends {
  const [a, b] = [Hypercore.createProtocolStream(true), Hypercore.createProtocolStream(false)]
  for (const end of [a, b]) end.on('error', () => undefined)
  for (const { noiseStream } of [a, b]) noiseStream.on('error', () => undefined)
  a.pipe(b).pipe(a)
  return {
    left: a.noiseStream,
    right: b.noiseStream,
    close: () => {
      a.destroy()
      b.destroy()
    },
  }
}

/** So long that only a test about giving up meets it, however slow the machine is. */
const patient = { findMs: 60_000, nearMs: 50, stallMs: 60_000 }

/** Exchanges that are connected by pipes, as others are by the mesh. */
export class ExchangeRig {
  readonly #connections: Ends[] = []
  readonly #exchanges: CoreExchange[] = []

  create({ patience, ...options }: Partial<ExchangeOptions> = {}): CoreExchange {
    const exchange = new CoreExchange({
      joinTopic: () => () => undefined,
      patience: { ...patient, ...patience },
      ...options,
    })
    this.#exchanges.push(exchange)
    return exchange
  }

  connect(
    a: CoreExchange,
    b: CoreExchange,
  ): { readonly aId: string; readonly bId: string; readonly ends: Ends } {
    const ends = createConnection()
    this.#connections.push(ends)
    const [aId, bId] = [ends.left.publicKey.toString('hex'), ends.right.publicKey.toString('hex')]
    a.connect(bId, ends.left)
    b.connect(aId, ends.right)
    return { aId, bId, ends }
  }

  async close(): Promise<void> {
    for (const ends of this.#connections) ends.close()
    await Promise.all(this.#exchanges.map((exchange) => exchange.close()))
  }
}
