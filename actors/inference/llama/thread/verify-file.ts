import { QMeshError, type ModelHash } from '../../../../protocol/index.ts'
import { hashFile } from '../../file-hash.ts'
import { checkGgufFile } from '../../gguf/header.ts'
import { toGgufKind, type GgufKind } from '../../gguf/model-kind.ts'
import type { LoadTask } from '../thread-messages.ts'

export interface VerifiedFile {
  readonly hash: ModelHash
  readonly kind: Exclude<GgufKind, 'rerank'>
}

/**
 * Checks that the file is a whole GGUF and the one that is expected, before native code sees it.
 *
 * @returns its SHA-256, and what the engine can do with it
 * @throws QMeshError `QM_MODEL_FILE_MISSING`, `QM_MODEL_FILE_INVALID`, `QM_MODEL_UNSUPPORTED`, `QM_MODEL_HASH_MISMATCH`
 */
export function verifyFile({ spec, knownHash }: Pick<LoadTask, 'spec' | 'knownHash'>): VerifiedFile {
  const kind = toGgufKind(checkGgufFile(spec.path))
  if (kind === 'rerank') {
    throw new QMeshError(
      'QM_MODEL_UNSUPPORTED',
      `"${spec.path}" ranks texts, and nobody can ask a mesh for that: take a model that answers or makes embeddings`,
    )
  }
  const hash = knownHash ?? hashFile(spec.path)
  if (spec.expectedHash !== undefined && spec.expectedHash !== hash) {
    throw new QMeshError(
      'QM_MODEL_HASH_MISMATCH',
      `"${spec.path}" has the SHA-256 ${hash}, expected was ${spec.expectedHash}; fetch it again`,
    )
  }
  return { hash, kind }
}
