import { constants } from 'node:fs'
import { copyFile, link, open } from 'node:fs/promises'
import { join } from 'node:path'
import { readSmallFile } from '../../files/small-file.ts'
import { QMeshError } from '../../../protocol/index.ts'

/** Where things lie in the folder of a store. */
export const storePaths = (dir: string) => ({
  blob: (hash: string) => join(dir, 'blobs', `${hash}.gguf`),
  blocks: (hash: string) => join(dir, 'blocks', `${hash}.blocks`),
  record: (hash: string) => join(dir, 'manifests', `${hash}.json`),
  lock: (key: string) => join(dir, 'locks', key),
  partial: (key: string) => join(dir, 'partial', key),
  blobs: join(dir, 'blobs'),
  manifests: join(dir, 'manifests'),
  partials: join(dir, 'partial'),
  quarantine: join(dir, 'quarantine'),
  holds: join(dir, 'holds'),
  firstSeen: join(dir, 'first-seen.json'),
  folders: ['blobs', 'blocks', 'manifests', 'locks', 'partial', 'quarantine', 'holds'].map((name) =>
    join(dir, name),
  ),
})
export type StorePaths = ReturnType<typeof storePaths>

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code
export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT'

const diskFull: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file system takes no file of this size',
}

/** What a failure of the file system means to whoever asked. */
export function toStoreError(error: unknown, path: string): QMeshError {
  if (error instanceof QMeshError) return error
  const reason = diskFull[codeOf(error) ?? '']
  if (reason !== undefined) {
    const detail = `${path} cannot be written: ${reason}; make room with "qmesh-node models cache" and try again`
    return new QMeshError('QM_DISK_FULL', detail, { cause: error })
  }
  const detail = `${path} cannot be used: ${error instanceof Error ? error.message : String(error)}`
  return new QMeshError('QM_DATA_DIR_UNUSABLE', detail, { cause: error })
}

/** Runs a step on a file and gives its failures their meaning. */
export async function onDisk<Value>(path: string, step: () => Promise<Value>): Promise<Value> {
  try {
    return await step()
  } catch (error) {
    throw toStoreError(error, path)
  }
}

/** Puts a finished file under a name that must be free. False when it is taken. */
export async function placeNew(finished: string, path: string): Promise<boolean> {
  try {
    // A link fails when the name is taken, which a rename would silently replace.
    await link(finished, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (isMissing(error)) throw error
  }
  try {
    // File systems without hard links (FAT, some network shares).
    await copyFile(finished, path, constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Makes a new name survive a power cut; some systems cannot, and lose nothing that was there before. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch {
    // Windows does not let folders be opened.
  }
}

/** A small file as text; undefined when there is none. @throws when it is larger than `bytesMax` */
export async function readSmall(path: string, bytesMax: number): Promise<string | undefined> {
  try {
    return await readSmallFile(path, bytesMax)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
