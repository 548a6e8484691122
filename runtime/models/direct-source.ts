import { QMeshError, toModelId } from '../../protocol/index.ts'
import { type ModelManifest, type ModelSource, parseManifest } from '../../protocol/models/index.ts'

/** `hf:owner/repo/file[@revision]`, or an address. */
export function toDirectSource(name: string): ModelSource | undefined {
  const hf = /^hf:([^/]+\/[^/]+)\/([^@]+)(?:@(.+))?$/.exec(name)
  if (hf) return { kind: 'hf', repo: hf[1] ?? '', file: hf[2] ?? '', revision: hf[3] ?? 'main' }
  return /^https?:\/\//.test(name) ? { kind: 'https', url: name } : undefined
}

/** @throws QMeshError `QM_USAGE` for an address whose escapes stand for nothing */
function toFileName(address: string): string {
  const last = address
    .replace(/[?#@].*$/, '')
    .split('/')
    .at(-1)
  try {
    return decodeURIComponent(last ?? '')
  } catch (error) {
    throw new QMeshError(
      'QM_USAGE',
      `"${address.slice(0, 200)}" is no address: a "%" must be followed by two hex digits of UTF-8, and stands for itself as "%25"`,
      { cause: error },
    )
  }
}

/** A manifest for a file of which nothing is known but where it is. @throws QMeshError `QM_MANIFEST_INVALID` */
export function toUnverifiedManifest(name: string, source: ModelSource): ModelManifest {
  const file = toFileName(name)
  const unknown = { parameters: null, contextTokens: null, embeddingLength: null, hasChatTemplate: null }
  return parseManifest(
    {
      format: 1,
      id: toModelId(file || 'model.gguf'),
      version: 0,
      name: file.replace(/\.gguf$/i, '').slice(0, 100) || 'model',
      description: '',
      kind: 'chat',
      licence: 'other',
      tags: [],
      facts: { architecture: 'unknown', quantization: 'unknown', ...unknown },
      artifact: { bytes: null, sha256: null, core: null },
      sources: [source],
      publisher: null,
      signature: null,
    },
    name,
  )
}
