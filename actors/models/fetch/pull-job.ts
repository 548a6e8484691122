import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AttemptFailed, type FetchFinding, FileWrong } from '../../../machines/models/fetch.machine.ts'
import { RateMeter } from '../../../machines/models/rate-meter.ts'
import { type ModelHash, QMeshError, toQMeshError } from '../../../protocol/index.ts'
import { type ModelManifest, toHearsayKey, toUnverifiedKey } from '../../../protocol/models/index.ts'
import { CoreFetch } from '../seeding/core-fetch.ts'
import type { RateLimit } from '../seeding/rate-limit.ts'
import type { FileSource } from '../sources/source.ts'
import { SourceFailed } from '../sources/source.ts'
import type { ModelStore } from '../store/model-store.ts'
import type { PartialModel } from '../store/stored-model.ts'
import { SourceMemos } from './source-memos.ts'

/** How far a model is. */
export interface PullProgress {
  readonly id: string
  readonly stage: 'resolving' | 'fetching' | 'waiting' | 'verifying'
  /** The source that is asked, or was asked last. */
  readonly source: string | undefined
  readonly doneBytes: number
  /** Undefined before the size is known. */
  readonly totalBytes: number | undefined
  readonly bytesPerSecond: number
  /** Milliseconds until all bytes are here; undefined while none come. */
  readonly etaMs: number | undefined
}

export interface PullJobOptions {
  readonly manifest: ModelManifest
  readonly sources: readonly FileSource[]
  /** What came by another's word is left alone: of a lie nothing could be told apart from it. */
  readonly isHearsay?: boolean | undefined
  readonly store: Pick<ModelStore, 'partial' | 'dir' | 'roomBytes' | 'limitBytes'>
  /** For all sources but peers, which have it already. */
  readonly download: RateLimit
  /** Free bytes of the disk that a folder is on. */
  readonly freeBytes?: ((folder: string) => Promise<number>) | undefined
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
  /** So many bytes more came: for who counts them. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/** Bytes that stay free on the disk: a full one harms everything else on the machine. */
const spareBytes = 64 * 1024 * 1024
/** Milliseconds between two reports of progress. */
const reportMs = 200

const freeBytesOf = async (folder: string): Promise<number> => {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** The work of one pull, step by step as the fetch machine asks for it. Closed when the machine has ended. */
export class PullJob {
  readonly #options: PullJobOptions
  readonly #rate = new RateMeter()
  #partial: PartialModel | undefined
  #memos: SourceMemos | undefined
  #total: number | undefined
  /** Sources of a file that was wrong as a whole: what they say of its size is believed only when nobody else knows it. */
  readonly #wrong = new Set<number>()
  #stage: PullProgress['stage'] = 'resolving'
  #source: string | undefined
  #reportedMs = -Infinity
  /** What runs now: the machine does not wait for what it stopped. */
  #running: Promise<unknown> = Promise.resolve()

  constructor(options: PullJobOptions) {
    this.#options = options
    this.#total = options.manifest.artifact.bytes ?? undefined
  }

  get sourceNames(): readonly string[] {
    return this.#options.sources.map(({ name }) => name)
  }

  resolve(signal: AbortSignal): Promise<FetchFinding> {
    return this.#run(async () => {
      this.#enter('resolving')
      const { manifest, store, isHearsay } = this.#options
      const bytes = await this.#size(signal)
      this.#total = bytes
      const { artifact } = manifest
      const key = isHearsay ? toHearsayKey(artifact) : (artifact.sha256 ?? toUnverifiedKey(manifest))
      const partial = (this.#partial ??= await store.partial(key, bytes))
      this.#memos = await SourceMemos.open(join(dirname(partial.path), 'sources.json'))
      return { bytes, missingBytes: bytes - partial.doneBytes }
    })
  }

  async checkSpace({ bytes, missingBytes }: FetchFinding): Promise<void> {
    const { store, manifest, freeBytes = freeBytesOf } = this.#options
    const room = await store.roomBytes()
    if (bytes > room) {
      throw new QMeshError(
        'QM_DISK_FULL',
        `"${manifest.id}" has ${toMb(bytes)} MB, and of the ${toMb(store.limitBytes ?? 0)} MB that modelsCacheGb allows ` +
          `only ${toMb(room)} MB can be made free beside what is pinned or loaded; raise it, or unpin something`,
      )
    }
    const free = await freeBytes(store.dir)
    const needed = missingBytes + spareBytes
    if (missingBytes === 0 || free >= needed) return
    throw new QMeshError(
      'QM_DISK_FULL',
      `"${manifest.id}" needs ${toMb(needed)} MB more, and ${store.dir} has ${toMb(free)} MB free`,
    )
  }

  fetchFrom(index: number, signal: AbortSignal): Promise<void> {
    return this.#run(async () => {
      const source = this.#options.sources[index]
      const [partial, memos] = [this.#partial, this.#memos]
      if (!source || !partial || !memos) throw new QMeshError('QM_INTERNAL', 'nothing was resolved yet')
      this.#enter('fetching', source.name)
      // Without a hash nobody could tell that parts of two files were mixed.
      const givers = memos.givers()
      const isOthers = givers.some((giver) => giver !== source.name)
      const memo = memos.validator(source.name)
      const mayHaveChanged = givers.includes(source.name) && memo === undefined && !source.isImmutable
      const isMixed = this.#options.manifest.artifact.sha256 === null && (isOthers || mayHaveChanged)
      if (isMixed) await this.#restart()
      const before = partial.doneBytes
      try {
        await source.fetch({
          target: partial,
          signal,
          pace: async (bytes) => {
            // Before the first byte is written: a process that is killed says nothing afterwards.
            if (!source.isProving) await memos.note(source.name, { hasGiven: true })
            await this.#options.download.take(bytes, signal)
          },
          onBytes: (bytes) => this.#onBytes(bytes),
          memo: isMixed ? undefined : memo,
          remember: (validator) => memos.note(source.name, { validator }),
          restart: () => this.#restart(),
        })
        if (partial.missing().length > 0) throw new SourceFailed(`${source.name} did not give all of it`)
      } catch (error) {
        if (signal.aborted) throw new QMeshError('QM_CANCELLED')
        const failure = toQMeshError(error, 'QM_SOURCE_FAILED')
        if (failure.code !== 'QM_SOURCE_FAILED') throw failure
        throw new AttemptFailed(failure, {
          isLasting: failure instanceof SourceFailed && failure.isLasting,
          hasGained: partial.doneBytes > before,
        })
      } finally {
        this.#enter('waiting', source.name)
      }
    })
  }

  verify(signal: AbortSignal): Promise<ModelHash> {
    return this.#run(async () => {
      const { manifest, sources } = this.#options
      const [partial, memos] = [this.#partial, this.#memos]
      if (!partial || !memos) throw new QMeshError('QM_INTERNAL', 'nothing was resolved yet')
      this.#enter('verifying', this.#source)
      const givers = memos.givers()
      const unproven = sources.flatMap(({ name, isProving }, index) =>
        givers.includes(name) && !isProving ? [index] : [],
      )
      // When nobody gave unproven bytes, those who prove them proved another file than the manifest means.
      const culprits =
        unproven.length > 0 ? unproven : sources.flatMap(({ isProving }, index) => (isProving ? [index] : []))
      await this.#keepProven(partial, manifest, culprits, signal)
      try {
        const stored = await partial.commit(manifest, { signal })
        this.#partial = undefined
        return stored.hash
      } catch (error) {
        if (signal.aborted) throw new QMeshError('QM_CANCELLED')
        const failure = toQMeshError(error)
        if (failure.code !== 'QM_MODEL_INVALID') throw failure
        this.#partial = undefined
        for (const culprit of culprits) this.#wrong.add(culprit)
        throw new FileWrong(failure, culprits)
      }
    })
  }

  /** Leaves what is there for later. Resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    await this.#running.catch(() => undefined)
    const partial = this.#partial
    this.#partial = undefined
    await partial?.release().catch(() => undefined)
  }

  /**
   * A file of proven and unproven parts that is wrong as a whole loses the unproven ones only.
   *
   * @throws FileWrong
   */
  async #keepProven(
    partial: PartialModel,
    { id, artifact: { sha256 } }: ModelManifest,
    culprits: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    const tree = await CoreFetch.proven(partial)
    if (sha256 === null || !tree || tree.blocksHere === 0 || tree.isComplete) return
    if ((await sha256Of(partial.path, signal)) === sha256) return
    await this.#forgetUnproven()
    throw new FileWrong(
      new QMeshError(
        'QM_MODEL_INVALID',
        `"${id}" has not the SHA-256 of its manifest; the proven parts stay`,
      ),
      culprits,
    )
  }

  /** What one source gave is of another version now: only what is proven stays. */
  #restart(): Promise<void> {
    return this.#forgetUnproven()
  }

  async #forgetUnproven(): Promise<void> {
    const partial = this.#partial
    if (!partial) return
    const tree = await CoreFetch.proven(partial)
    // Each is flushed to the disk: block by block that would take minutes of a large file.
    for (const { start, end } of tree?.missing() ?? [{ start: 0, end: partial.bytes }])
      await partial.forget(start, end)
    await this.#memos?.clear()
  }

  /** Size of the whole file: that of the manifest, or what the sources say. */
  async #size(signal: AbortSignal): Promise<number> {
    const known = this.#total
    if (known === undefined) return this.#probe(signal)
    if (this.#options.manifest.artifact.bytes !== null || this.#wrong.size === 0) return known
    return this.#probe(signal).catch((error: unknown) => {
      if (signal.aborted) throw error
      return known
    })
  }

  /** The first source that knows the size. */
  async #probe(signal: AbortSignal): Promise<number> {
    const failures: string[] = []
    for (const [index, source] of this.#options.sources.entries()) {
      if (this.#wrong.has(index)) continue
      this.#enter('resolving', source.name)
      try {
        const { bytes } = await source.probe(signal)
        if (bytes !== null) return bytes
      } catch (error) {
        if (signal.aborted) throw new QMeshError('QM_CANCELLED')
        failures.push(toQMeshError(error).message)
      }
    }
    throw new QMeshError(
      'QM_SOURCE_FAILED',
      `no source says how large "${this.#options.manifest.id}" is${failures.length > 0 ? `: ${failures.join('; ')}` : ''}`,
    )
  }

  #run<Value>(step: () => Promise<Value>): Promise<Value> {
    // One after the other: a step that was stopped still lets go of what it holds.
    const running = this.#running.catch(() => undefined).then(step)
    this.#running = running
    return running
  }

  #onBytes(bytes: number): void {
    this.#options.onBytes?.(bytes)
    this.#rate.add(bytes, performance.now())
    this.#report(false)
  }

  #enter(stage: PullProgress['stage'], source?: string): void {
    this.#stage = stage
    this.#source = source ?? this.#source
    this.#report(true)
  }

  #report(isForced: boolean): void {
    const nowMs = performance.now()
    if (!isForced && nowMs - this.#reportedMs < reportMs) return
    this.#reportedMs = nowMs
    const doneBytes = this.#partial?.doneBytes ?? (this.#stage === 'verifying' ? (this.#total ?? 0) : 0)
    const totalBytes = this.#total
    this.#options.onProgress?.({
      id: this.#options.manifest.id,
      stage: this.#stage,
      source: this.#source,
      doneBytes,
      totalBytes,
      bytesPerSecond: this.#rate.bytesPerSecond(nowMs),
      etaMs: totalBytes === undefined ? undefined : this.#rate.etaMs(totalBytes - doneBytes, nowMs),
    })
  }
}

const toMb = (bytes: number): string => (bytes / 1e6).toFixed(0)

async function sha256Of(path: string, signal: AbortSignal): Promise<ModelHash> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) {
    hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}
