import { readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { makeFolder } from '../../files/make-folder.ts'
import { choosePruned } from '../../../machines/models/prune.ts'
import { QMeshError, toQMeshError, type ModelHash } from '../../../protocol/index.ts'
import type { ModelManifest } from '../../../protocol/models/index.ts'
import { hash256 } from '../../../protocol/trust/signing.ts'
import type { HashCachePort } from '../../inference/hash-cache.port.ts'
import { adoptFile } from './adopt.ts'
import { type CheckedFile, checkFile, refused } from './check-file.ts'
import { FirstSeen } from './first-seen.ts'
import { Holds } from './holds.ts'
import { busy, takeLock } from './model-lock.ts'
import { isModelSize, PartialFile } from './partial-file.ts'
import { describeOwner } from './process-owner.ts'
import { Quarantine } from './quarantine.ts'
import { type ModelRecord, Records, stateOf } from './records.ts'
import { damaged, findDamageOf, notSound, putRight, readLeaves } from './soundness.ts'
import { onDisk, storePaths, type StorePaths, syncFolder } from './store-files.ts'
import type {
  AdoptMode,
  BrokenModel,
  PartialModel,
  StoredModel,
  Verification,
  VerifyOptions,
} from './stored-model.ts'

export interface ModelStoreOptions {
  /** Created when missing, mode 0700. */
  readonly dir: string
  /** Bytes that `prune` leaves by default; absent: no limit. */
  readonly limitBytes?: number | undefined
  /** Learns the hash of each new file, so that the engine need not read it again. */
  readonly hashCache?: HashCachePort | undefined
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined
}

/** A model on its way that nobody works on at the moment, or somebody else does. */
export interface UnfinishedModel {
  readonly key: string
  /** Bytes it takes on the disk. */
  readonly bytes: number
}

/**
 * The models of this machine, each under the SHA-256 of its file:
 *
 *   blobs/<sha256>.gguf       the files; those that a user named stay where they are
 *   blocks/<sha256>.blocks    the hash of each 64 KiB, by which damage is found and repaired
 *   manifests/<sha256>.json   manifest and state; written before a blob gets its name, so that no blob is without one
 *   partial/<key>/            models on their way, with a journal of what is there
 *   quarantine/               files that failed a check, and why
 *   locks/, holds/            which process works on a model, and which has it loaded
 *
 * Several processes may have one store open: what they change goes by locks, and `refresh` reads what others changed.
 */
export class ModelStore {
  readonly dir: string
  readonly limitBytes: number | undefined
  readonly #paths: StorePaths
  readonly #records: Records
  readonly #holds: Holds
  readonly #quarantine: Quarantine
  readonly #firstSeen: FirstSeen
  readonly #hashCache: HashCachePort | undefined
  readonly #open = new Set<PartialFile>()

  private constructor({ dir, limitBytes, hashCache, log = () => undefined }: ModelStoreOptions) {
    this.dir = dir
    this.limitBytes = limitBytes
    this.#paths = storePaths(dir)
    this.#hashCache = hashCache
    this.#holds = new Holds(this.#paths.holds)
    this.#quarantine = new Quarantine(this.#paths.quarantine)
    this.#firstSeen = new FirstSeen(this.#paths)
    this.#records = new Records(this.#paths, (path, reason) =>
      log('warn', `the record ${path} of a model is damaged and is left out: ${reason}`),
    )
  }

  /** @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_DISK_FULL` */
  static async open(options: ModelStoreOptions): Promise<ModelStore> {
    const store = new ModelStore(options)
    await onDisk(options.dir, async () => {
      for (const folder of store.#paths.folders) await makeFolder(folder)
      await store.#records.refresh()
    })
    return store
  }

  /** Reads what other processes changed. */
  async refresh(): Promise<void> {
    await onDisk(this.dir, () => this.#records.refresh())
  }

  /** Every model that is whole as far as its size and its times tell. */
  list(): readonly StoredModel[] {
    return this.#records.all().flatMap((record) => this.#sound(record) ?? [])
  }

  get(hash: ModelHash): StoredModel | undefined {
    const record = this.#records.get(hash)
    return record && this.#sound(record)
  }

  /** All that have this id: different files, perhaps of different publishers. Which one is meant, the catalog knows. */
  named(id: string): readonly StoredModel[] {
    return this.list().filter(({ manifest }) => manifest.id === id)
  }

  /** Models whose file is not what it was. */
  broken(): readonly BrokenModel[] {
    return this.#records.all().flatMap((record) => {
      const model = this.#toStored(record)
      const reason = stateOf(record, model.path)
      return reason === undefined ? [] : [{ ...model, reason, damaged: record.damaged }]
    })
  }

  /**
   * Begins or goes on with a model on its way.
   *
   * @param key SHA-256 of the file, or what `toUnverifiedKey` or `toHearsayKey` gives
   * @param bytes size of the whole file; with another one than last time it starts anew
   * @throws QMeshError `QM_MODEL_BUSY` with the process that works on it, `QM_DISK_FULL`
   */
  async partial(key: string, bytes: number): Promise<PartialModel> {
    checkKey(key)
    if (!isModelSize(bytes))
      throw new QMeshError('QM_MODEL_INVALID', `a model file cannot have ${bytes} bytes`)
    const unlock = await onDisk(this.dir, () => takeLock(this.#paths.lock(key), `the model ${key}`))
    try {
      const partial = await PartialFile.open(key, this.#paths.partial(key), bytes, {
        accept: (file, manifest, options) => this.#accept(file, manifest, options),
        unlock: async () => {
          this.#open.delete(partial)
          await unlock()
        },
      })
      this.#open.add(partial)
      return partial
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /** What was begun and not finished. */
  async unfinished(): Promise<readonly UnfinishedModel[]> {
    const keys = (await readdir(this.#paths.partials)).filter((key) => keyPattern.test(key))
    return Promise.all(
      keys.map(async (key) => {
        const stats = await stat(`${this.#paths.partial(key)}/data`).catch(() => undefined)
        return { key, bytes: (stats?.blocks ?? 0) * 512 }
      }),
    )
  }

  /** @throws QMeshError `QM_MODEL_BUSY` */
  async discardUnfinished(key: string): Promise<void> {
    checkKey(key)
    const unlock = await takeLock(this.#paths.lock(key), `the model ${key}`)
    try {
      await rm(this.#paths.partial(key), { recursive: true, force: true })
    } finally {
      await unlock()
    }
  }

  readonly quarantine = {
    list: () => this.#quarantine.list(),
    clear: () => this.#quarantine.clear(),
  }

  /**
   * Takes in a file of this machine. Its content is read once, for its hashes.
   *
   * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_INVALID`, `QM_DISK_FULL`, `QM_MODEL_BUSY`
   */
  async adopt(
    path: string,
    manifest: ModelManifest,
    how: AdoptMode,
    options: VerifyOptions = {},
  ): Promise<StoredModel> {
    const what = `the file ${path}`
    return adoptFile(
      {
        paths: this.#paths,
        lock: (key) => onDisk(this.dir, () => takeLock(this.#paths.lock(key), what)),
        store: (found, file, place) => this.#store(found, manifest, file, place),
      },
      path,
      manifest,
      how,
      options,
    )
  }

  async pin(hash: ModelHash, isPinned: boolean): Promise<void> {
    await onDisk(this.dir, () => this.#records.change(hash, (record) => ({ ...record, isPinned })))
  }

  /** Gives a model another manifest: a signed one, or a later version. Its file stays what it is. */
  async describe(hash: ModelHash, manifest: ModelManifest): Promise<void> {
    const { sha256 } = manifest.artifact
    if (sha256 !== null && sha256 !== hash)
      throw new QMeshError('QM_MODEL_INVALID', `the manifest "${manifest.id}" is of another file, ${sha256}`)
    await onDisk(this.dir, () => this.#records.change(hash, (record) => ({ ...record, manifest })))
  }

  /** Says that a model was used, which is what `prune` goes by. */
  async used(hash: ModelHash, nowMs: number): Promise<void> {
    const later = (record: ModelRecord): ModelRecord => ({
      ...record,
      usedAtMs: Math.max(record.usedAtMs, nowMs),
    })
    await onDisk(this.dir, () => this.#records.change(hash, later))
  }

  /** Says to other processes that this one has the model loaded or serves it. The result ends that. */
  hold(hash: ModelHash): Promise<() => Promise<void>> {
    return onDisk(this.dir, () => this.#holds.take(hash))
  }

  /**
   * Removes a model; the file of a reference stays.
   *
   * @throws QMeshError `QM_MODEL_BUSY` while a process holds it
   */
  async remove(hash: ModelHash): Promise<void> {
    const owner = (await this.#holds.all()).get(hash)
    if (owner) throw busy(`the model ${hash}`, describeOwner(owner))
    await onDisk(this.dir, () => this.#remove(hash))
  }

  /**
   * Makes room by removing what was not used for longest: never what is pinned, kept, held by a process or only
   * referenced. Nothing happens without a limit.
   */
  async prune(options: {
    readonly keep: ReadonlySet<ModelHash>
    readonly limitBytes?: number | undefined
  }): Promise<readonly StoredModel[]> {
    const limitBytes = options.limitBytes ?? this.limitBytes
    if (limitBytes === undefined) return []
    await this.refresh()
    const keep = new Set([...options.keep, ...(await this.#holds.all()).keys()])
    const models = [...this.list(), ...this.broken()]
    const pruned = choosePruned(models, { limitBytes, keep })
    for (const { hash } of pruned) await onDisk(this.dir, () => this.#remove(hash))
    return pruned
  }

  /**
   * Bytes that a new model may have, when everything makes room that can: what is pinned, held or kept stays. Infinite
   * without a limit.
   */
  async roomBytes(keep: ReadonlySet<ModelHash> = new Set()): Promise<number> {
    if (this.limitBytes === undefined) return Infinity
    await this.refresh()
    const held = await this.#holds.all()
    const staying = [...this.list(), ...this.broken()].filter(
      ({ hash, isPinned, isReference }) => !isReference && (isPinned || held.has(hash) || keep.has(hash)),
    )
    return Math.max(0, this.limitBytes - staying.reduce((sum, { bytes }) => sum + bytes, 0))
  }

  /**
   * Reads a model and compares each block with its hash. What is damaged is remembered: the model is broken until it
   * is repaired. A reference that was touched and is the same is taken up again.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND`
   */
  async verify(hash: ModelHash, options: VerifyOptions = {}): Promise<Verification> {
    const record = this.#require(hash)
    const { path } = this.#toStored(record)
    const before = await stat(path).catch(() => undefined)
    const damaged = await findDamageOf(record, path, this.#paths.blocks(hash), options)
    const isSound = damaged.length === 0
    await this.#records.change(hash, (now) => ({
      ...now,
      damaged: [...damaged],
      // As it was before it was read: one that was changed meanwhile counts as changed.
      file: now.file && before && isSound ? { ...now.file, modifiedMs: before.mtimeMs } : now.file,
    }))
    return { isSound, damaged }
  }

  /**
   * Puts one block right that `verify` found damaged. The model is whole again when the last of them is.
   *
   * @param start of a block, a multiple of `blockBytes`
   * @param data the whole block
   * @throws QMeshError `QM_MODEL_DAMAGED` when it is not what belongs there, or the file is another one by now
   */
  async repairBlock(hash: ModelHash, start: number, data: Uint8Array): Promise<void> {
    const record = this.#require(hash)
    const { path, manifest } = this.#toStored(record)
    const reason = stateOf(record, path)
    if (reason === undefined) throw damaged(`the file of "${manifest.id}" has no damage that was found`)
    if (reason !== 'damaged') throw notSound({ manifest, reason })
    const rest = await putRight(record, path, await this.blockHashes(hash), start, data)
    const { mtimeMs } = await stat(path)
    await this.#records.change(hash, (now) => ({
      ...now,
      damaged: [...rest],
      file: now.file && { ...now.file, modifiedMs: mtimeMs },
    }))
    if (rest.length === 0)
      await this.#hashCache?.set(path, { sizeBytes: record.bytes, modifiedMs: mtimeMs }, hash)
  }

  /**
   * 32 bytes for each 64 KiB of the file: the leaves of its Hypercore Merkle tree.
   *
   * @throws QMeshError `QM_MODEL_NOT_FOUND`; `QM_MODEL_DAMAGED` when they are not what was stored
   */
  async blockHashes(hash: ModelHash): Promise<Buffer> {
    const record = this.#require(hash)
    const leaves = await readLeaves(this.#paths.blocks(hash), record)
    if (leaves) return leaves
    throw damaged(`the block hashes of "${record.manifest.id}" are damaged; "models verify" makes them again`)
  }

  /** Leaves all that is open for later. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#open, (partial) => partial.release()))
  }

  #require(hash: ModelHash): ModelRecord {
    const record = this.#records.get(hash)
    if (record) return record
    throw new QMeshError('QM_MODEL_NOT_FOUND', `the store has no model ${hash}`)
  }

  #sound(record: ModelRecord): StoredModel | undefined {
    const model = this.#toStored(record)
    return stateOf(record, model.path) === undefined ? model : undefined
  }

  #toStored({ hash, bytes, manifest, facts, file, isPinned, usedAtMs }: ModelRecord): StoredModel {
    const path = file?.path ?? this.#paths.blob(hash)
    return { hash, bytes, path, manifest, facts, isPinned, isReference: file !== null, usedAtMs }
  }

  async #accept(partial: PartialFile, manifest: ModelManifest, options: VerifyOptions): Promise<StoredModel> {
    try {
      const found = await checkFile(partial.path, manifest, options)
      if (/^[0-9a-f]{64}$/.test(partial.key) && found.hash !== partial.key)
        throw refused(manifest, `has the SHA-256 ${found.hash}, expected was ${partial.key}`)
      if (manifest.artifact.sha256 === null) await this.#firstSeen.check(partial.key, found.hash, manifest.id)
      return await this.#store(found, manifest, null, () =>
        rename(partial.path, this.#paths.blob(found.hash)),
      )
    } catch (error) {
      const failure = toQMeshError(error, 'QM_INTERNAL')
      if (failure.code === 'QM_MODEL_INVALID')
        await this.#quarantine.take(partial.path, partial.key, failure.message)
      throw error
    }
  }

  async #store(
    { hash, leaves, facts, bytes, modifiedMs }: CheckedFile,
    manifest: ModelManifest,
    file: ModelRecord['file'],
    place: () => Promise<void>,
  ): Promise<StoredModel> {
    const before = this.#records.get(hash)
    const isHere = before !== undefined && stateOf(before, this.#toStored(before).path) === undefined
    // A file of the store that its record was lost of, or that its owner put right.
    const isOwn =
      file !== null && file.path === (await realpath(this.#paths.blob(hash)).catch(() => undefined))
    const record: ModelRecord = {
      hash,
      bytes,
      manifest: before && isNewer(before.manifest, manifest) ? before.manifest : manifest,
      facts,
      // A copy of our own is worth more than a reference to the same bytes.
      file: isOwn || (isHere && before.file === null) ? null : file,
      blocksHash: hash256(leaves).toString('hex'),
      isPinned: before?.isPinned ?? false,
      usedAtMs: Math.max(before?.usedAtMs ?? 0, Date.now()),
      damaged: [],
    }
    await onDisk(this.dir, async () => {
      await writeFileAtomically(this.#paths.blocks(hash), leaves)
      await this.#records.put(record)
    })
    try {
      await place()
      await syncFolder(this.#paths.blobs)
      // A damaged file of our own, in whose place a reference came.
      if (record.file !== null) await rm(this.#paths.blob(hash), { force: true })
    } catch (error) {
      if (before) await this.#records.put(before)
      else await this.#records.remove(hash)
      throw error
    }
    const stored = this.#toStored(record)
    await this.#hashCache?.set(stored.path, { sizeBytes: bytes, modifiedMs }, hash)
    return stored
  }

  /** The blob first: a record without one is seen as missing, a blob without a record would never be found. */
  async #remove(hash: ModelHash): Promise<void> {
    await rm(this.#paths.blob(hash), { force: true })
    await rm(this.#paths.blocks(hash), { force: true })
    await this.#records.remove(hash)
  }
}

/** Whether what is known is a later version of the same manifest: an old one must not take its place. */
const isNewer = (known: ModelManifest, other: ModelManifest): boolean =>
  known.id === other.id && known.publisher === other.publisher && known.version > other.version

/** Keys become names of folders: nothing else may. */
const keyPattern = /^(unverified-|hearsay-|adopt-)?[0-9a-f]{64}$/

function checkKey(key: string): void {
  if (!keyPattern.test(key)) throw new QMeshError('QM_INTERNAL', `"${key.slice(0, 80)}" is no key of a model`)
}
