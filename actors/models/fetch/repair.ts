import { RangeSet, type ByteRange } from '../../../machines/models/range-set.ts'
import { type ModelHash, QMeshError, toQMeshError } from '../../../protocol/index.ts'
import { blockBytes } from '../../../protocol/models/index.ts'
import { treeOfLeaves } from '../seeding/build-tree.ts'
import type { CoreExchange } from '../seeding/core-exchange.ts'
import type { FetchTarget } from '../seeding/core-fetch.ts'
import { sizeOfBlock } from '../seeding/merkle.ts'
import { toCoreKey } from '../seeding/static-core.ts'
import { createSources, type SourceOptions } from '../sources/index.ts'
import { SourceFailed } from '../sources/source.ts'
import { notSound } from '../store/soundness.ts'
import type { ModelStore } from '../store/model-store.ts'
import type { PartialModel } from '../store/stored-model.ts'

export interface RepairOptions {
  readonly store: ModelStore
  readonly exchange?: CoreExchange | undefined
  readonly sources?: Omit<SourceOptions, 'exchange'> | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined
}

export interface Repaired {
  readonly hash: ModelHash
  /** Blocks that were wrong. */
  readonly blocks: number
  /** Bytes that were fetched for them. */
  readonly fetchedBytes: number
}

/** A stored file of which some blocks are wrong: it lacks those, and takes only what belongs there. */
class DamagedFile implements FetchTarget {
  readonly path: string
  readonly bytes: number
  readonly #store: ModelStore
  readonly #hash: ModelHash
  readonly #wanted: RangeSet
  /** Blocks that came in part: a web server does not know of blocks. */
  readonly #parts = new Map<number, { readonly data: Buffer; readonly there: RangeSet }>()
  fetched = 0

  constructor(
    store: ModelStore,
    hash: ModelHash,
    path: string,
    bytes: number,
    damaged: readonly ByteRange[],
  ) {
    this.path = path
    this.bytes = bytes
    this.#store = store
    this.#hash = hash
    this.#wanted = new RangeSet(damaged)
  }

  has(start: number, end: number): boolean {
    return !this.#wanted.ranges.some((range) => range.start < end && range.end > start)
  }

  missing(): readonly ByteRange[] {
    const missing = new RangeSet(this.#wanted.ranges)
    for (const { there } of this.#parts.values())
      for (const { start, end } of there.ranges) missing.remove(start, end)
    return missing.ranges
  }

  read(): Promise<Buffer> {
    return Promise.reject(new RangeError('a file that is being repaired is not read'))
  }

  async write(start: number, data: Uint8Array): Promise<void> {
    this.fetched += data.byteLength
    for (let at = start; at < start + data.byteLength;) {
      const block = Math.floor(at / blockBytes)
      const end = Math.min(start + data.byteLength, (block + 1) * blockBytes)
      await this.#add(block, at, data.subarray(at - start, end - start))
      at = end
    }
  }

  forget(): Promise<void> {
    this.#parts.clear()
    return Promise.resolve()
  }

  async #add(block: number, start: number, data: Uint8Array): Promise<void> {
    const first = block * blockBytes
    const size = sizeOfBlock(block, this.bytes)
    const part = this.#parts.get(block) ?? { data: Buffer.alloc(size), there: new RangeSet() }
    this.#parts.set(block, part)
    part.data.set(data, start - first)
    part.there.add(start, start + data.byteLength)
    if (!part.there.has(first, first + size)) return
    this.#parts.delete(block)
    try {
      await this.#store.repairBlock(this.#hash, first, part.data)
    } catch (error) {
      if (toQMeshError(error).code !== 'QM_MODEL_DAMAGED') throw error
      throw new SourceFailed('it gave other bytes than belong there', { isLasting: true, cause: error })
    }
    this.#wanted.remove(first, first + size)
  }
}

/**
 * Finds the blocks of a stored model that are not what they were, and fetches those: from peers, then from the sources
 * of its manifest. Each block must have its hash to be taken.
 *
 * @throws QMeshError `QM_MODEL_NOT_FOUND`; `QM_MODEL_DAMAGED` for a file that is gone or another one; `QM_SOURCE_FAILED`
 */
export async function repairModel(
  hash: ModelHash,
  { store, exchange, sources: sourceOptions, signal, onProgress }: RepairOptions,
): Promise<Repaired> {
  const { isSound, damaged } = await store.verify(hash, { signal, onProgress })
  if (isSound) return { hash, blocks: 0, fetchedBytes: 0 }
  const broken = store.broken().find((model) => model.hash === hash)
  if (!broken) throw new QMeshError('QM_MODEL_NOT_FOUND', `the store has no model ${hash}`)
  if (broken.reason !== 'damaged') throw notSound(broken)
  const { path, bytes, manifest } = broken
  const target = new DamagedFile(store, hash, path, bytes, damaged)
  const blocks = damaged.reduce((sum, { start, end }) => sum + Math.ceil((end - start) / blockBytes), 0)
  const reasons: string[] = []
  const attempt = async (name: string, fetch: () => Promise<void>): Promise<void> => {
    if (target.missing().length === 0) return
    try {
      await fetch()
    } catch (error) {
      if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
      const failure = toQMeshError(error)
      if (failure.code !== 'QM_SOURCE_FAILED') throw failure
      reasons.push(`${name}: ${failure.message}`)
      await target.forget()
    }
  }
  if (exchange) {
    const tree = treeOfLeaves(bytes, await store.blockHashes(hash))
    for (const { start, end } of damaged) {
      for (let block = Math.floor(start / blockBytes); block * blockBytes < end; block++)
        tree.mark(block, false)
    }
    const key = toCoreKey(tree)
    if (key !== undefined) await attempt('peers', () => exchange.fetch(key, target, { tree, signal }))
  }
  const never = new AbortController().signal
  for (const source of createSources(manifest, { ...sourceOptions, exchange: undefined })) {
    if (source.isProving) continue
    await attempt(source.name, () =>
      source.fetch({
        target: target as unknown as PartialModel,
        signal: signal ?? never,
        pace: (size) => exchange?.download.take(size, signal) ?? Promise.resolve(),
        onBytes: () => undefined,
        memo: undefined,
        remember: () => Promise.resolve(),
        restart: () => target.forget(),
      }),
    )
  }
  if (target.missing().length > 0) {
    throw new QMeshError(
      'QM_SOURCE_FAILED',
      `nobody could give the damaged part of "${manifest.id}": ${reasons.join('; ') || 'no source is known'}`,
    )
  }
  return { hash, blocks, fetchedBytes: target.fetched }
}
