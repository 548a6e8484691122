import { QMeshError } from '../../../protocol/index.ts'
import {
  isManifestSigned,
  modelLimits,
  parseManifest,
  type ModelManifest,
} from '../../../protocol/models/index.ts'
import { readSmall } from '../store/store-files.ts'

/**
 * Reads one manifest.
 *
 * @throws QMeshError `QM_MANIFEST_INVALID`, for one that is forged, too
 */
export async function readManifestFile(path: string): Promise<ModelManifest> {
  let json: unknown
  try {
    const text = await readSmall(path, modelLimits.manifestFileBytesMax)
    if (text === undefined) throw new Error('there is no such file')
    json = JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new QMeshError('QM_MANIFEST_INVALID', `the manifest ${path} cannot be read: ${reason}`, {
      cause: error,
    })
  }
  return toGenuine(json, path)
}

/**
 * Reads a manifest that somebody gave: it needs no signature, but one that is there must fit, or it would count as the
 * word of whomever it names.
 *
 * @param where names it in the error
 * @throws QMeshError `QM_MANIFEST_INVALID`
 */
export function toGenuine(json: unknown, where: string): ModelManifest {
  const manifest = parseManifest(json, where)
  if (manifest.signature === null || isManifestSigned(manifest)) return manifest
  throw new QMeshError(
    'QM_MANIFEST_INVALID',
    `the signature of the manifest ${where} does not fit: it is forged, or was changed after it was signed`,
  )
}
