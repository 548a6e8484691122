import { join } from 'node:path'
import type { ModelSpec } from '../actors/inference/engine.port.ts'
import { readManifestFile } from '../actors/models/catalog/manifest-file.ts'
import type { StoredModel } from '../actors/models/store/stored-model.ts'
import { builtInModelId, QMeshError, toQMeshError } from '../protocol/index.ts'
import { packageFile } from './package-file.ts'

export { builtInModelId }

const folder = 'models/nano'

/**
 * The small model that comes with the package, as one that lies where its owner has it. Its file is checked against the
 * manifest's hash before it is loaded.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID` when the package was damaged
 */
export async function findBuiltInModel(): Promise<StoredModel> {
  const manifestPath = packageFile(`${folder}/manifest.json`)
  if (!manifestPath) {
    throw new QMeshError('QM_MODEL_FILE_MISSING', `the built-in model is missing: install qmesh again`)
  }
  try {
    const manifest = await readManifestFile(manifestPath)
    const { artifact, facts, sources } = manifest
    const [source] = sources
    if (artifact.sha256 === null || artifact.bytes === null || source?.kind !== 'file')
      throw new Error('it names no file')
    return {
      hash: artifact.sha256,
      bytes: artifact.bytes,
      path: join(manifestPath, '..', source.path),
      manifest,
      facts,
      isPinned: false,
      isReference: true,
      usedAtMs: 0,
    }
  } catch (error) {
    throw toQMeshError(error, 'QM_MODEL_FILE_INVALID')
  }
}

/** The same as it is served. */
export async function builtInModel(): Promise<ModelSpec> {
  const { path, hash } = await findBuiltInModel()
  return { id: builtInModelId, path, expectedHash: hash, threadsMax: 1 }
}
