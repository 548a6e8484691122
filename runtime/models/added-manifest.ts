import { basename } from 'node:path'
import { checkGgufFile } from '../../actors/inference/gguf/header.ts'
import { toGgufKind } from '../../actors/inference/gguf/model-kind.ts'
import { readManifestFile, toGenuine } from '../../actors/models/catalog/manifest-file.ts'
import { toModelFacts } from '../../actors/models/facts/model-facts.ts'
import { type ModelId, modelIdSchema, QMeshError, toModelId } from '../../protocol/index.ts'
import { type ModelKind, type ModelManifest, parseManifest } from '../../protocol/models/index.ts'

/** What the owner says of a file that is to be a model. */
export interface AddedModel {
  /** Default: from the name of the file. */
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly kind?: ModelKind | undefined
  /** SPDX id; default `other`. */
  readonly licence?: string | undefined
  /** A manifest of this very file, instead of what the other options say: a path, or what JSON gave. */
  readonly manifest?: unknown
}

/** @throws QMeshError `QM_MANIFEST_INVALID`, `QM_USAGE` for what is no id, and what reading the header throws */
export async function toAddedManifest(path: string, added: AddedModel): Promise<ModelManifest> {
  const header = checkGgufFile(path)
  if (typeof added.manifest === 'string') return readManifestFile(added.manifest)
  if (added.manifest !== undefined) return toGenuine(added.manifest, 'given')
  const fileName = basename(path)
  return parseManifest(
    {
      format: 1,
      id: toId(added.id ?? toModelId(fileName)),
      version: 1,
      name: added.name ?? fileName.replace(/\.gguf$/i, '').slice(0, 100),
      description: '',
      kind: added.kind ?? toGgufKind(header),
      licence: added.licence ?? 'other',
      tags: [],
      facts: toModelFacts(header),
      artifact: { bytes: null, sha256: null, core: null },
      sources: [{ kind: 'peers' }],
      publisher: null,
      signature: null,
    },
    `of ${path}`,
  )
}

function toId(text: string): ModelId {
  const { success, data } = modelIdSchema.safeParse(text)
  if (success) return data
  throw new QMeshError(
    'QM_USAGE',
    `"${text.slice(0, 128)}" is no id of a model: lower case letters, digits, ".", "-" and "_" are, such as "${toModelId(text)}"`,
  )
}
