import Corestore from 'corestore'
import Hyperbee from 'hyperbee'
import type Hypercore from 'hypercore'
import { closeStore } from '../log/open-store.ts'

/** Holds how long the core was when it was made, in writes and bytes: no text is this key. */
const metaKey = Buffer.of(0xff)
/** Entries copied at once; that of an account may have megabytes. */
const copyEntries = 200

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

export interface Size {
  readonly writes: number
  readonly bytes: number
}

/** One Hyperbee in a folder of its own. Not safe for two writers at a time. */
export class Generation {
  readonly #store: Corestore
  readonly #core: Hypercore
  readonly #bee: Hyperbee
  #base: Size

  private constructor(store: Corestore, core: Hypercore, bee: Hyperbee, base: Size) {
    this.#store = store
    this.#core = core
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
      return new Generation(store, core, bee, toSize(base?.value.toString()))
    } catch (error) {
      await closeStore(store)
      throw error
    }
  }

  /** Since the live keys were last copied. */
  get growth(): Size {
    const { writes, bytes } = this.#base
    return { writes: this.#bee.version - writes, bytes: this.#core.byteLength - bytes }
  }

  /** Bytes that the live keys took when they were last copied. */
  get copiedBytes(): number {
    return this.#base.bytes
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
    const base = { writes: this.#bee.version + 1, bytes: this.#core.byteLength }
    this.#base = base
    await this.write([{ key: metaKey, value: Buffer.from(`${base.writes} ${base.bytes}`) }])
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await this.#bee.close().catch(() => undefined)
    await closeStore(this.#store)
  }
}

function toSize(text = ''): Size {
  const [writes = 0, bytes = 0] = text.split(' ').map(Number)
  return { writes, bytes }
}
