import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelSpec } from '../actors/inference/engine.port.ts'
import { builtInModelId, manifestSchema, QMeshError, toQMeshError } from '../protocol/index.ts'
import { packageFile } from './package-file.ts'

export { builtInModelId }

const folder = 'models/nano'

/**
 * The small model that comes with the package. Its file is checked against the manifest's hash before it is loaded.
 *
 * @throws QMeshError `QM_MODEL_FILE_MISSING` when the package was damaged
 */
export async function builtInModel(): Promise<ModelSpec> {
  const manifestPath = packageFile(`${folder}/manifest.json`)
  if (!manifestPath) {
    throw new QMeshError('QM_MODEL_FILE_MISSING', `the built-in model is missing: install qmesh again`)
  }
  try {
    const { artifacts } = manifestSchema.parse(JSON.parse(await readFile(manifestPath, 'utf8')))
    const [artifact] = artifacts
    if (!artifact) throw new Error('it names no file')
    return {
      id: builtInModelId,
      path: join(manifestPath, '..', artifact.file),
      expectedHash: artifact.sha256,
      threadsMax: 1,
    }
  } catch (error) {
    throw toQMeshError(error, 'QM_MODEL_FILE_INVALID')
  }
}
