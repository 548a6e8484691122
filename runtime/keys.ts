import { join } from 'node:path'
import { type PeerId, QMeshError, toQMeshError } from '../protocol/index.ts'
import { createFileAtomically, writeFileAtomically } from '../actors/files/atomic-file.ts'
import { toFileReason } from '../actors/files/file-reason.ts'
import { openFolder } from './data-dir.ts'
import {
  type Identity,
  identityFileBytesMax,
  identityFileName,
  identityFromFile,
  readIdentity,
} from './identity.ts'
import { readSmallFile } from '../actors/files/small-file.ts'

/** Says that these keys were in use elsewhere: other nodes may hold a log of theirs that is not here. */
export const importedFileName = 'keys-imported.json'

/** Whose keys a data directory holds, and where. */
export interface KeysReport {
  readonly id: PeerId
  readonly file: string
}

/**
 * @throws QMeshError `QM_KEYS_INVALID` when there are none, `QM_IDENTITY_EXPOSED`, `QM_IDENTITY_INVALID`,
 *   `QM_DATA_DIR_UNUSABLE`
 */
export async function showKeys(dataDir: string): Promise<KeysReport> {
  const { id } = await requireIdentity(dataDir)
  return { id, file: join(dataDir, identityFileName) }
}

/**
 * Writes the root seed, from which every key of the node is derived, to a new file of mode 0600.
 *
 * @throws QMeshError as `showKeys`; `QM_USAGE` when the file is there already
 */
export async function exportKeys(dataDir: string, to: string): Promise<KeysReport> {
  const identity = await requireIdentity(dataDir)
  await place(to, identity, `${to} exists already and is not overwritten: name another file`)
  return { id: identity.id, file: to }
}

/** The same as text. */
export const exportKeysAsText = async (dataDir: string): Promise<string> =>
  (await requireIdentity(dataDir)).toFile()

/**
 * Makes a data directory that of the exported node. One that belongs to another node is left alone.
 *
 * @throws QMeshError `QM_KEYS_INVALID`; `QM_USAGE` when the directory has an identity; `QM_DATA_DIR_LOCKED` while a node
 *   runs in it; `QM_DATA_DIR_UNUSABLE`
 */
export async function importKeys(from: string, dataDir: string): Promise<KeysReport> {
  const text = await readSmallFile(from, identityFileBytesMax).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw toQMeshError(error, 'QM_KEYS_INVALID')
    throw new QMeshError('QM_KEYS_INVALID', `there is no file ${from}`, { cause: error })
  })
  const identity = identityFromFile(text)
  if (!identity)
    throw new QMeshError('QM_KEYS_INVALID', `${from} does not hold the keys of a node, or is damaged`)
  const release = await openFolder(dataDir)
  const file = join(dataDir, identityFileName)
  try {
    await writeFileAtomically(join(dataDir, importedFileName), `${JSON.stringify({ id: identity.id })}\n`)
    const isTaken = `${file} exists already and is not overwritten: move it away, or name another --data-dir`
    await place(file, identity, isTaken)
  } finally {
    await release()
  }
  return { id: identity.id, file }
}

async function place(file: string, identity: Identity, isTaken: string): Promise<void> {
  try {
    await createFileAtomically(file, identity.toFile())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new QMeshError('QM_USAGE', isTaken)
    throw new QMeshError('QM_DATA_DIR_UNUSABLE', `${file} cannot be written: ${toFileReason(error)}`, {
      cause: error,
    })
  }
}

async function requireIdentity(dataDir: string): Promise<Identity> {
  const identity = await readIdentity(join(dataDir, identityFileName))
  if (identity) return identity
  throw new QMeshError(
    'QM_KEYS_INVALID',
    `${dataDir} holds no keys yet: "qmesh-node up" makes them, "qmesh-node keys import <file>" restores them`,
  )
}
