import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { QMeshError } from '../../../protocol/index.ts'
import { decodeValue, encodeValue, type IndexValue, toKeyBytes } from './index-codec.ts'
import { type Bounds, type BytesWrite, Generation } from './index-generation.ts'
import { toLogDamaged } from '../log/log-damaged.ts'

/** Writes after which the live keys are copied into a fresh core: a tree that is only appended to grows for ever. */
const compactAfterDefault = 50_000
/** Or bytes, and twice as many as are alive: what is known of one busy account may be megabytes in each epoch. */
const compactBytesDefault = 64 * 1024 * 1024
/** Operations written at once. */
const batchMax = 1_000
/** Operations that may wait; more is refused. */
const waitingMax = 100_000
/** Entries of a range read at once. */
const pageEntries = 256
/** Milliseconds between attempts to start an empty index after one failed. */
const retryPauseMs = 1_000

/** `del` where there is no value. */
export interface IndexWrite {
  readonly key: string
  readonly value?: IndexValue
}

export interface IndexRange {
  /** Only keys that start with this. */
  readonly prefix?: string
  /** From this key on, itself included, … */
  readonly gte?: string
  /** … to this one, itself left out. */
  readonly lt?: string
  readonly reverse?: boolean
  readonly limit?: number
}

export interface IndexStoreOptions {
  /** The index is empty because it was missing, damaged or could not be written: fill it again from the logs. */
  readonly onEmptied?: (reason: string) => void
  readonly compactAfter?: number
  readonly compactBytes?: number
}

interface Job {
  readonly writes: readonly BytesWrite[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * A cache of what can be computed from the logs: keys in the order of their UTF-8 bytes, values of JSON or bytes. It
 * may become empty at any time, and then says so. Each generation is a folder of its own; the one with the highest
 * number counts, and gets its number by a rename when it is complete, so a crash at any moment leaves one that is whole.
 */
export class IndexStore {
  readonly #folder: string
  readonly #options: IndexStoreOptions
  readonly #waiting: Job[] = []
  #waitingWrites = 0
  #working: Promise<void> | undefined
  #turn: Promise<unknown> = Promise.resolve()
  /** Nothing while the disk takes no index: reads find nothing, writes are dropped. */
  #current: Generation | undefined
  #number = 0
  #emptied = 0
  #failedAtMs = -Infinity
  #isClosed = false

  private constructor(folder: string, options: IndexStoreOptions) {
    this.#folder = folder
    this.#options = options
  }

  /**
   * A missing or damaged index starts empty, after a call of `onEmptied`.
   *
   * @throws QMeshError `QM_LOG_DAMAGED` when the folder cannot be used at all, or another process uses it
   */
  static async open(folder: string, options: IndexStoreOptions = {}): Promise<IndexStore> {
    const index = new IndexStore(folder, options)
    try {
      await index.#open()
    } catch (error) {
      throw error instanceof QMeshError ? error : await toLogDamaged(folder, error)
    }
    return index
  }

  /** Whether there is an index at all; a disk that is full has none until there is space. */
  get isUsable(): boolean {
    return this.#current !== undefined
  }

  /** How often it was emptied since it was opened: what was written before is gone. */
  get emptied(): number {
    return this.#emptied
  }

  /** The value that was last written, once `write` has resolved; nothing if there is none or the index is empty. */
  async get(key: string): Promise<IndexValue | undefined> {
    return this.#read(async (generation) => {
      const bytes = await generation.get(toKeyBytes(key))
      return bytes && decodeValue(bytes)
    })
  }

  put(key: string, value: IndexValue): Promise<void> {
    return this.write([{ key, value }])
  }

  del(key: string): Promise<void> {
    return this.write([{ key }])
  }

  /**
   * All of it or nothing, after what was asked for before. What is asked for at the same time is written together. When
   * the index fails, it is emptied and the writes with it; this resolves all the same.
   *
   * @throws QMeshError `QM_NODE_STOPPED`, `QM_QUEUE_FULL`; `RangeError` for a key that is empty, too long or no text,
   *   `TypeError` for a value that JSON cannot hold
   */
  write(writes: readonly IndexWrite[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(new QMeshError('QM_NODE_STOPPED', 'The index was closed.'))
    if (this.#waitingWrites + writes.length > waitingMax) {
      return Promise.reject(
        new QMeshError('QM_QUEUE_FULL', `${waitingMax} writes to the index already wait.`),
      )
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes: writes.map(toBytes), resolve, reject })
      this.#waitingWrites += writes.length
      this.#working ??= this.#work()
    })
  }

  /** Entries in order, read a few at a time: what is written meanwhile may be among them or not. */
  async *range(range: IndexRange = {}): AsyncGenerator<readonly [string, IndexValue], void> {
    const { reverse = false, limit = Number.POSITIVE_INFINITY } = range
    let bounds = toBounds(range)
    let left = limit
    while (left > 0) {
      const page = await this.#read(async (generation) => {
        const entries = await generation.page(bounds, reverse, Math.min(left, pageEntries))
        return entries.map(({ key, value }) => ({ key, value: decodeValue(value) }))
      })
      const last = page?.at(-1)
      if (!page || !last) return
      for (const { key, value } of page) yield [key.toString(), value] as const
      left -= page.length
      bounds = reverse ? { ...bounds, lt: last.key } : { ...bounds, gt: last.key }
    }
  }

  /** Forgets everything. */
  async clear(): Promise<void> {
    await this.#inTurn(() => this.#startEmpty())
  }

  /** Writes what was asked for, then closes. Never rejects; twice is fine. */
  async close(): Promise<void> {
    this.#isClosed = true
    while (this.#working) await this.#working
    await this.#turn
    const current = this.#current
    this.#current = undefined
    await current?.close()
  }

  async #open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const names = await readdir(this.#folder)
    const numbers = names.flatMap((name) => /^g-(\d+)$/.exec(name)?.[1] ?? []).map(Number)
    this.#number = Math.max(0, ...numbers)
    for (const name of names) {
      // Whatever a crash left behind.
      if (name.startsWith('g-') && name !== `g-${this.#number}`) await this.#remove(name)
    }
    if (this.#number === 0) {
      await this.#startEmpty()
      this.#options.onEmptied?.('There was no index.')
      return
    }
    try {
      this.#current = await Generation.open(join(this.#folder, `g-${this.#number}`))
    } catch (error) {
      // Not damaged, and not ours to remove.
      if (String(error).includes('LOCK')) throw error
      await this.#startEmpty()
      this.#options.onEmptied?.(`The index was damaged: ${String(error)}`)
    }
  }

  async #work(): Promise<void> {
    // Whoever else is about to write in this turn of the event loop comes along.
    await setImmediate()
    while (this.#waiting.length > 0) {
      const jobs = this.#takeJobs()
      try {
        await this.#inTurn(() => this.#write(jobs.flatMap(({ writes }) => writes)))
        for (const { resolve } of jobs) resolve()
      } catch (error) {
        for (const { reject } of jobs) reject(error)
      }
    }
    // In the same turn as the look at the queue, or what is asked for in between would wait for ever.
    this.#working = undefined
  }

  #takeJobs(): Job[] {
    let count = 0
    let writes = 0
    for (const job of this.#waiting) {
      if (count > 0 && writes + job.writes.length > batchMax) break
      count++
      writes += job.writes.length
    }
    this.#waitingWrites -= writes
    return this.#waiting.splice(0, count)
  }

  async #write(writes: readonly BytesWrite[]): Promise<void> {
    const generation = await this.#usable()
    if (!generation) return
    try {
      await generation.write(writes)
      if (this.#isGrown(generation)) await this.#compact(generation)
    } catch (error) {
      await this.#fail(generation, error)
    }
  }

  #isGrown({ growth, copiedBytes }: Generation): boolean {
    const { compactAfter = compactAfterDefault, compactBytes = compactBytesDefault } = this.#options
    return growth.writes >= compactAfter || growth.bytes >= Math.max(compactBytes, 2 * copiedBytes)
  }

  async #read<T>(run: (generation: Generation) => Promise<T>): Promise<T | undefined> {
    const generation = this.#current
    if (!generation) return undefined
    try {
      return await run(generation)
    } catch (error) {
      if (this.#isClosed) throw new QMeshError('QM_NODE_STOPPED', 'The index was closed.')
      // It was replaced while it was read.
      if (generation !== this.#current) return this.#read(run)
      await this.#inTurn(() => this.#fail(generation, error))
      return undefined
    }
  }

  /** The index cannot be read or written: an empty one may. */
  async #fail(generation: Generation, error: unknown): Promise<void> {
    if (generation !== this.#current) return
    this.#failedAtMs = performance.now()
    try {
      await this.#startEmpty()
    } catch {
      this.#current = undefined
      this.#emptied++
      await generation.close()
    }
    this.#options.onEmptied?.(`The index could not be used: ${String(error)}`)
  }

  async #usable(): Promise<Generation | undefined> {
    if (this.#current || performance.now() - this.#failedAtMs < retryPauseMs) return this.#current
    this.#failedAtMs = performance.now()
    try {
      await this.#startEmpty()
      this.#options.onEmptied?.('The index can be used again.')
    } catch {
      // The disk is still full.
    }
    return this.#current
  }

  async #startEmpty(): Promise<void> {
    await this.#replace(async () => undefined)
    this.#emptied++
  }

  #compact(generation: Generation): Promise<void> {
    return this.#replace((fresh) => fresh.copyFrom(generation))
  }

  /** Builds the next generation aside, and lets it take the place of the current one when it is complete. */
  async #replace(fill: (fresh: Generation) => Promise<void>): Promise<void> {
    const number = this.#number + 1
    const aside = join(this.#folder, `g-${number}.tmp`)
    const path = join(this.#folder, `g-${number}`)
    await rm(aside, { recursive: true, force: true })
    const fresh = await Generation.open(aside)
    try {
      await fill(fresh)
    } finally {
      await fresh.close()
    }
    await rename(aside, path)
    const next = await Generation.open(path)
    const previous = this.#current
    const previousName = `g-${this.#number}`
    this.#current = next
    this.#number = number
    await previous?.close()
    await this.#remove(previousName)
  }

  async #remove(name: string): Promise<void> {
    await rm(join(this.#folder, name), { recursive: true, force: true })
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

const toBytes = ({ key, value }: IndexWrite): BytesWrite => ({
  key: toKeyBytes(key),
  value: value === undefined ? undefined : encodeValue(value),
})

function toBounds({ prefix = '', gte, lt }: IndexRange): Bounds {
  const first = Buffer.from(prefix)
  // No text has this byte, so it comes after every key with the prefix.
  const end = Buffer.concat([first, Buffer.of(0xff)])
  const from = gte === undefined ? first : Buffer.from(gte)
  const to = lt === undefined ? end : Buffer.from(lt)
  return { gte: Buffer.compare(from, first) > 0 ? from : first, lt: Buffer.compare(to, end) < 0 ? to : end }
}
