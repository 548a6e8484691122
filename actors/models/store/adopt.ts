import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir, realpath, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelManifest } from '../../../protocol/models/index.ts'
import { readModelFacts } from '../facts/model-facts.ts'
import { type CheckedFile, checkFile } from './check-file.ts'
import type { ModelRecord } from './records.ts'
import { onDisk, type StorePaths } from './store-files.ts'
import type { AdoptMode, StoredModel, VerifyOptions } from './stored-model.ts'

/** What adopting needs of the store. */
export interface AdoptPort {
  readonly paths: StorePaths
  /** @throws QMeshError `QM_MODEL_BUSY` */
  readonly lock: (key: string) => Promise<() => Promise<void>>
  /** @param place gives the file its name in the store */
  readonly store: (
    found: CheckedFile,
    file: ModelRecord['file'],
    place: () => Promise<void>,
  ) => Promise<StoredModel>
}

/** See `ModelStore.adopt`. */
export async function adoptFile(
  { paths, lock, store }: AdoptPort,
  path: string,
  manifest: ModelManifest,
  how: AdoptMode,
  options: VerifyOptions,
): Promise<StoredModel> {
  // First what costs nothing: a wrong path, or a file of another kind.
  readModelFacts(path)
  const from = await realpath(path)
  const key = `adopt-${createHash('sha256').update(from).digest('hex')}`
  const unlock = await lock(key)
  const folder = paths.partial(key)
  const copy = join(folder, 'data')
  try {
    if (how === 'reference') {
      const found = await checkFile(from, manifest, options)
      return await store(found, { path: from, modifiedMs: found.modifiedMs }, () => Promise.resolve())
    }
    if (how === 'move') {
      const found = await checkFile(from, manifest, options)
      const moved = await store(found, null, () => rename(from, paths.blob(found.hash))).catch(
        (error: unknown) => {
          if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
          return undefined
        },
      )
      if (moved) return moved
    }
    await onDisk(folder, async () => {
      await rm(folder, { recursive: true, force: true })
      await mkdir(folder, { recursive: true, mode: 0o700 })
      // Where the file system can, the two share their blocks until one of them is changed.
      await copyFile(from, copy, constants.COPYFILE_FICLONE)
    })
    // The copy is what counts: the file may have been changed meanwhile.
    const found = await checkFile(copy, manifest, options)
    const stored = await store(found, null, () => rename(copy, paths.blob(found.hash)))
    if (how === 'move') await rm(from)
    return stored
  } finally {
    await rm(folder, { recursive: true, force: true })
    await unlock()
  }
}
