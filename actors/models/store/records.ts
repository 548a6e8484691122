import { statSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { z } from 'zod'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { modelHashSchema, type ModelHash } from '../../../protocol/index.ts'
import { modelFactsSchema, modelLimits, modelManifestSchema } from '../../../protocol/models/index.ts'
import { hash256 } from '../../../protocol/trust/signing.ts'
import { briefly } from './model-lock.ts'
import { readSmall, type StorePaths } from './store-files.ts'
import type { BrokenModel } from './stored-model.ts'

/** Damaged ranges that are remembered one by one; with more of them the whole file is fetched again. */
const damagedMax = 1_024

/** What the store knows of one model: `manifests/<sha256>.json`. */
const recordSchema = z.object({
  hash: modelHashSchema,
  bytes: z.number().int().min(1).max(modelLimits.modelBytesMax),
  manifest: modelManifestSchema,
  facts: modelFactsSchema,
  /** Where the owner has the file, and when it was changed last; null for a file of the store. */
  file: z.object({ path: z.string().max(4_096), modifiedMs: z.number() }).nullable(),
  /** BLAKE2b-256 of the file of block hashes. */
  blocksHash: modelHashSchema,
  isPinned: z.boolean(),
  usedAtMs: z.number(),
  damaged: z.array(z.object({ start: z.number(), end: z.number() })).max(damagedMax),
})
export type ModelRecord = Readonly<z.infer<typeof recordSchema>>

/** With a hash, because a flipped bit may leave good JSON behind. */
const fileSchema = z.object({ record: z.record(z.string(), z.unknown()), check: modelHashSchema })
const checkOf = (record: object): string => hash256(Buffer.from(JSON.stringify(record))).toString('hex')

const recordBytesMax = 512 * 1024
/** Far more models than any disk holds; beyond it the rest is not read. */
const recordsMax = 10_000

/** The records of a store, in memory and on disk. Several processes may change them. */
export class Records {
  readonly #paths: StorePaths
  readonly #onDamaged: (path: string, reason: string) => void
  #records = new Map<ModelHash, ModelRecord>()
  #latest: Promise<unknown> = Promise.resolve()

  constructor(paths: StorePaths, onDamaged: (path: string, reason: string) => void) {
    this.#paths = paths
    this.#onDamaged = onDamaged
  }

  get(hash: ModelHash): ModelRecord | undefined {
    return this.#records.get(hash)
  }

  all(): readonly ModelRecord[] {
    return [...this.#records.values()]
  }

  /**
   * Reads all of them again: other processes may have changed some. Never beside a change of this process: what was read
   * before it would take the place of what it wrote.
   */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      const names = (await readdir(this.#paths.manifests)).filter((name) => /^[0-9a-f]{64}\.json$/.test(name))
      const records = new Map<ModelHash, ModelRecord>()
      for (const name of names.slice(0, recordsMax)) {
        const record = await this.#read(name.slice(0, 64))
        if (record) records.set(record.hash, record)
      }
      this.#records = records
    })
  }

  async put(record: ModelRecord): Promise<void> {
    await this.#alone(record.hash, () => this.#write(record))
  }

  /** Changes what is on disk, not what was read earlier. Nothing happens to a model that is gone. */
  async change(hash: ModelHash, change: (record: ModelRecord) => ModelRecord): Promise<void> {
    await this.#alone(hash, async () => {
      const record = await this.#read(hash)
      if (record) await this.#write(change(record))
      else this.#records.delete(hash)
    })
  }

  async remove(hash: ModelHash): Promise<void> {
    await this.#alone(hash, async () => {
      await rm(this.#paths.record(hash), { force: true })
      this.#records.delete(hash)
    })
  }

  async #write(record: ModelRecord): Promise<void> {
    const damaged = record.damaged.length > damagedMax ? [{ start: 0, end: record.bytes }] : record.damaged
    const kept = { ...record, damaged }
    const file = { record: kept, check: checkOf(kept) }
    await writeFileAtomically(this.#paths.record(record.hash), `${JSON.stringify(file)}\n`)
    this.#records.set(record.hash, kept)
  }

  async #read(hash: ModelHash): Promise<ModelRecord | undefined> {
    const path = this.#paths.record(hash)
    try {
      const text = await readSmall(path, recordBytesMax)
      if (text === undefined) return undefined
      const file = fileSchema.parse(JSON.parse(text))
      if (checkOf(file.record) !== file.check) throw new Error('it is not what was written')
      const record = recordSchema.parse(file.record)
      if (record.hash !== hash) throw new Error('it is the record of another model')
      return record
    } catch (error) {
      this.#onDamaged(path, error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  /** One change at a time: in this process by a chain, among processes by a lock held for a moment. */
  #alone(hash: ModelHash, step: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      const leave = await briefly(this.#paths.lock(`record-${hash}`))
      try {
        await step()
      } finally {
        await leave()
      }
    })
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#latest.then(step)
    this.#latest = done.catch(() => undefined)
    return done
  }
}

/** What is wrong with a model's file as far as its size and its times tell, if something is. */
export function stateOf(record: ModelRecord, path: string): BrokenModel['reason'] | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats?.isFile()) return 'missing'
  const isSame =
    stats.size === record.bytes && (record.file === null || stats.mtimeMs === record.file.modifiedMs)
  if (!isSame) return record.file === null ? 'damaged' : 'changed'
  return record.damaged.length > 0 ? 'damaged' : undefined
}
