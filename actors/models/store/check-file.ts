import { open } from 'node:fs/promises'
import { QMeshError, type ModelHash } from '../../../protocol/index.ts'
import type { ModelFacts, ModelManifest } from '../../../protocol/models/index.ts'
import { readModelFacts } from '../facts/model-facts.ts'
import { scanFile } from './block-hashes.ts'
import { onDisk } from './store-files.ts'
import type { VerifyOptions } from './stored-model.ts'

/** What is known of a file that passed. */
export interface CheckedFile {
  readonly hash: ModelHash
  /** Hashes of its blocks. */
  readonly leaves: Buffer
  readonly facts: ModelFacts
  readonly bytes: number
  readonly modifiedMs: number
}

export const refused = ({ id }: ModelManifest, reason: string): QMeshError =>
  new QMeshError('QM_MODEL_INVALID', `the file of "${id}" ${reason}`)

/**
 * Everything that can be said of a model file without native code: its header within bounds, its size, its hash.
 *
 * @throws QMeshError `QM_MODEL_INVALID` with the reason
 */
export async function checkFile(
  path: string,
  manifest: ModelManifest,
  options: VerifyOptions,
): Promise<CheckedFile> {
  const facts = readFacts(path, manifest)
  const file = await onDisk(path, () => open(path, 'r'))
  try {
    const before = await file.stat()
    const { bytes, sha256 } = manifest.artifact
    if (bytes !== null && bytes !== before.size)
      throw refused(manifest, `has ${before.size} bytes, expected were ${bytes}`)
    const { hash, leaves } = await scanFile(file, before.size, options)
    if (sha256 !== null && hash !== sha256)
      throw refused(manifest, `has the SHA-256 ${hash}, expected was ${sha256}`)
    const after = await file.stat()
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs)
      throw refused(manifest, 'was changed while it was read')
    return { hash, leaves, facts, bytes: before.size, modifiedMs: before.mtimeMs }
  } finally {
    await file.close()
  }
}

function readFacts(path: string, manifest: ModelManifest): ModelFacts {
  try {
    return readModelFacts(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new QMeshError('QM_MODEL_INVALID', `"${manifest.id}" is refused: ${reason}`, { cause: error })
  }
}
