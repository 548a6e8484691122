import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import type { ByteRange } from '../../../machines/models/range-set.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { modelLimits, type ModelManifest } from '../../../protocol/models/index.ts'
import { RangeJournal } from './range-journal.ts'
import { onDisk, readSmall } from './store-files.ts'
import type { PartialModel, StoredModel, VerifyOptions } from './stored-model.ts'

/** Bytes after which what is there is made to survive a power cut. */
const flushBytesMax = 4 * 1024 * 1024

export interface PartialHooks {
  /** Checks the whole file and takes it into the store. @throws QMeshError `QM_MODEL_INVALID` */
  readonly accept: (
    partial: PartialFile,
    manifest: ModelManifest,
    options: VerifyOptions,
  ) => Promise<StoredModel>
  readonly unlock: () => Promise<void>
}

/** The file, the journal and the folder of a model on its way; see `PartialModel`. */
export class PartialFile implements PartialModel {
  readonly key: string
  readonly path: string
  readonly bytes: number
  readonly folder: string
  readonly #data: FileHandle
  readonly #journal: RangeJournal
  readonly #hooks: PartialHooks
  readonly #writing = new Set<Promise<void>>()
  #isOver = false

  private constructor(
    key: string,
    folder: string,
    bytes: number,
    data: FileHandle,
    journal: RangeJournal,
    hooks: PartialHooks,
  ) {
    this.key = key
    this.folder = folder
    this.path = join(folder, 'data')
    this.bytes = bytes
    this.#data = data
    this.#journal = journal
    this.#hooks = hooks
  }

  /** Goes on with what is there, unless it is of another size: then the model has changed, and it starts anew. */
  static async open(key: string, folder: string, bytes: number, hooks: PartialHooks): Promise<PartialFile> {
    return onDisk(folder, async () => {
      const known = (await readSmall(join(folder, 'bytes'), 64).catch(() => undefined)) ?? ''
      if (known !== String(bytes)) await rm(folder, { recursive: true, force: true })
      await mkdir(folder, { recursive: true, mode: 0o700 })
      if (known !== String(bytes)) await writeFileAtomically(join(folder, 'bytes'), String(bytes))
      const path = join(folder, 'data')
      const data = await open(path, 'r+').catch(() => open(path, 'wx+', 0o600))
      try {
        // Sparse: what is not there takes no room yet.
        if ((await data.stat()).size !== bytes) await data.truncate(bytes)
        const flushBytes = Math.min(flushBytesMax, Math.ceil(bytes / 100))
        const journal = await RangeJournal.open(join(folder, 'journal'), data, flushBytes)
        return new PartialFile(key, folder, bytes, data, journal, hooks)
      } catch (error) {
        await data.close()
        throw error
      }
    })
  }

  get doneBytes(): number {
    return this.#journal.ranges.bytes
  }

  has(start: number, end: number): boolean {
    return this.#journal.ranges.has(start, end)
  }

  missing(): readonly ByteRange[] {
    return this.#journal.ranges.missing(this.bytes)
  }

  write(start: number, data: Uint8Array): Promise<void> {
    this.#check(start, start + data.byteLength)
    const writing = onDisk(this.path, async () => {
      let done = 0
      while (done < data.byteLength) {
        const rest = data.byteLength - done
        done += (await this.#data.write(data, done, rest, start + done)).bytesWritten
      }
      await this.#journal.add(start, data)
    })
    this.#writing.add(writing)
    const forget = (): void => void this.#writing.delete(writing)
    writing.then(forget, forget)
    return writing
  }

  async forget(start: number, end: number): Promise<void> {
    this.#check(start, end)
    await onDisk(this.path, () => this.#journal.remove(start, end))
  }

  async read(start: number, end: number): Promise<Buffer> {
    this.#check(start, end)
    if (!this.has(start, end)) throw new RangeError(`bytes ${start} to ${end} are not all there`)
    const buffer = Buffer.alloc(end - start)
    let done = 0
    while (done < buffer.length) {
      const { bytesRead } = await this.#data.read(buffer, done, buffer.length - done, start + done)
      if (bytesRead === 0) throw new RangeError(`${this.path} is shorter than it was`)
      done += bytesRead
    }
    return buffer
  }

  async commit(manifest: ModelManifest, options: VerifyOptions = {}): Promise<StoredModel> {
    this.#check(0, this.bytes)
    const missing = this.bytes - this.doneBytes
    if (missing > 0)
      throw new QMeshError(
        'QM_MODEL_INVALID',
        `"${manifest.id}" is not complete: ${missing} bytes are missing`,
      )
    await Promise.allSettled(this.#writing)
    await onDisk(this.path, () => this.#journal.flush())
    this.#isOver = true
    await this.#closeFiles()
    // A disk that is full, or a caller who gave up, says nothing against what was fetched: it stays for another try.
    let isKept = true
    try {
      const stored = await this.#hooks.accept(this, manifest, options)
      isKept = false
      return stored
    } catch (error) {
      isKept = !(error instanceof QMeshError && error.code === 'QM_MODEL_INVALID')
      throw error
    } finally {
      if (!isKept) await rm(this.folder, { recursive: true, force: true })
      await this.#hooks.unlock()
    }
  }

  async discard(): Promise<void> {
    await this.#end(true)
  }

  async release(): Promise<void> {
    if (this.#isOver) return
    await Promise.allSettled(this.#writing)
    await this.#journal.flush().catch(() => undefined)
    await this.#end(false)
  }

  async #end(isRemoved: boolean): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    await Promise.allSettled(this.#writing)
    await this.#closeFiles()
    if (isRemoved) await rm(this.folder, { recursive: true, force: true })
    await this.#hooks.unlock()
  }

  async #closeFiles(): Promise<void> {
    await this.#journal.close()
    await this.#data.close()
  }

  #check(start: number, end: number): void {
    if (this.#isOver)
      throw new QMeshError('QM_INTERNAL', `the unfinished model ${this.key} was given up already`)
    const isWithin =
      Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end <= this.bytes
    if (!isWithin || start > end)
      throw new RangeError(`bytes ${start} to ${end} are not in a file of ${this.bytes}`)
  }
}

/** Sizes that a model file can have. */
export const isModelSize = (bytes: number): boolean =>
  Number.isSafeInteger(bytes) && bytes >= 1 && bytes <= modelLimits.modelBytesMax
