import Corestore from 'corestore'
import Hyperbee from 'hyperbee'
import { closeStore } from '../log/open-store.ts'

/** Holds how long the core was when it was made: no text is this key. */
const metaKey = Buffer.of(0xff)
/** Entries copied at once. */
const copyEntries = 2_000

export interface Bounds {
  readonly gte: Uint8Array
  readonly gt?: Uint8Array
  readonly lt: Uint8Array
}

export interface BytesWrite {
  readonly key: Buffer
  readonly value: Buffer | undefined
}

export interface BytesEntry {
  readonly key: Buffer
  readonly value: Buffer
}

/** One Hyperbee in a folder of its own. Not safe for two writers at a time. */
export class Generation {
  readonly #store: Corestore
  readonly #bee: Hyperbee
  #base: number

  private constructor(store: Corestore, bee: Hyperbee, base: number) {
    this.#store = store
    this.#bee = bee
    this.#base = base
  }

  static async open(folder: string): Promise<Generation> {
    const store = new Corestore(folder, { allowBackup: true })
    try {
      await store.ready()
      const core = store.get({ name: 'index', active: false })
      const bee = new Hyperbee(core, { extension: false, alwaysDuplicate: false })
      await bee.ready()
      const base = await bee.get(metaKey)
      return new Generation(store, bee, base ? Number(base.value.toString()) : 0)
    } catch (error) {
      await closeStore(store)
      throw error
    }
  }

  /** Writes since the live keys were last copied. */
  get growth(): number {
    return this.#bee.version - this.#base
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.#bee.get(key))?.value
  }

  async page(bounds: Bounds, reverse: boolean, limit: number): Promise<BytesEntry[]> {
    const entries: BytesEntry[] = []
    const { gte, gt, lt } = bounds
    const range = { ...(gt ? { gt } : { gte }), lt, reverse, limit }
    for await (const { key, value } of this.#bee.createReadStream(range)) entries.push({ key, value })
    return entries
  }

  async write(writes: readonly BytesWrite[]): Promise<void> {
    const batch = this.#bee.batch()
    try {
      for (const { key, value } of writes) await (value ? batch.put(key, value) : batch.del(key))
      await batch.flush()
    } finally {
      await batch.close()
    }
  }

  /** Copies what is alive in another one into this empty one. */
  async copyFrom(other: Generation): Promise<void> {
    let bounds: Bounds = { gte: Buffer.alloc(0), lt: metaKey }
    for (;;) {
      const page = await other.page(bounds, false, copyEntries)
      const last = page.at(-1)
      if (!last) break
      await this.write(page)
      bounds = { ...bounds, gt: last.key }
    }
    this.#base = this.#bee.version + 1
    await this.write([{ key: metaKey, value: Buffer.from(String(this.#base)) }])
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await this.#bee.close().catch(() => undefined)
    await closeStore(this.#store)
  }
}
