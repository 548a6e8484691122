import { chmod, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { QMeshError } from '../protocol/index.ts'
import { writeFileAtomically } from '../actors/files/atomic-file.ts'
import { toFileReason } from '../actors/files/file-reason.ts'
import { makeFolder } from '../actors/files/make-folder.ts'
import { identityFileName, loadIdentity, type Identity } from './identity.ts'
import { lockDataDir } from './lock.ts'
import { readSmallFile } from '../actors/files/small-file.ts'

/** Bytes of one state file; ours are far smaller, so a larger one is damaged. */
const stateBytesMax = 1024 * 1024

/** An open data directory: locked by this process until `close`. */
export interface DataDir {
  readonly path: string
  readonly identity: Identity
  file(name: string): string
  /** A small JSON file. One that is missing is `undefined`; so is a damaged one, after a call of `onDamaged`. */
  readState<Schema extends z.ZodType>(name: string, schema: Schema): Promise<z.output<Schema> | undefined>
  /** Written whole or not at all; a failure is reported to `onDamaged` and does not reject: state can be rebuilt. */
  writeState(name: string, value: unknown): Promise<void>
  /** Gives the folder back once everything is written. */
  close(): Promise<void>
}

export interface DataDirOptions {
  /** The lock was lost while held; the node must stop writing at once. */
  readonly onLost?: () => void
  /** A state file could not be read or written. */
  readonly onDamaged?: (file: string, error: Error) => void
}

/**
 * Creates the folder when it is missing (0700), takes its lock and loads its identity.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_DATA_DIR_LOCKED`, `QM_IDENTITY_EXPOSED`, `QM_IDENTITY_INVALID`
 */
export async function openDataDir(path: string, options: DataDirOptions = {}): Promise<DataDir> {
  const { onLost = () => undefined, onDamaged = () => undefined } = options
  const release = await openFolder(path, onLost)
  const file = (name: string): string => join(path, name)
  const writes = new Set<Promise<void>>()
  const write = async (name: string, value: unknown): Promise<void> => {
    try {
      await writeFileAtomically(file(name), `${JSON.stringify(value)}\n`)
    } catch (error) {
      onDamaged(file(name), error as Error)
    }
  }
  try {
    const identity = await loadIdentity(file(identityFileName))
    return {
      path,
      identity,
      file,
      readState: async (name, schema) => {
        try {
          return await readJson(file(name), schema)
        } catch (error) {
          onDamaged(file(name), error as Error)
          return undefined
        }
      },
      writeState: async (name, value) => {
        const writing = write(name, value)
        writes.add(writing)
        await writing
        writes.delete(writing)
      },
      close: async () => {
        // The next owner of the folder must not find it written to.
        await Promise.all(writes)
        await release()
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}

/**
 * The folder alone: created when missing, and locked until the returned function is called.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_DATA_DIR_LOCKED`
 */
export async function openFolder(
  path: string,
  onLost: () => void = () => undefined,
): Promise<() => Promise<void>> {
  await usable(path, () => prepare(path))
  const lock = await usable(path, () => lockDataDir(path, onLost))
  return () => lock.release()
}

async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  let text: string
  try {
    text = await readSmallFile(path, stateBytesMax)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return schema.parse(JSON.parse(text))
}

async function prepare(path: string): Promise<void> {
  const isNew = await makeFolder(path)
  if (isNew || process.platform === 'win32') return
  const { mode } = await stat(path)
  if ((mode & 0o077) === 0) return
  // Made by hand with the usual mode: close it. A folder with other things in it is not ours to close, and the files
  // that matter are closed themselves.
  const names = await readdir(path)
  if (names.length === 0 || names.includes(identityFileName)) await chmod(path, 0o700)
}

async function usable<Value>(path: string, step: () => Promise<Value>): Promise<Value> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof QMeshError) throw error
    throw new QMeshError('QM_DATA_DIR_UNUSABLE', `${path} cannot be used: ${toFileReason(error)}`, {
      cause: error,
    })
  }
}
