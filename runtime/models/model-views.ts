import type { CatalogEntry } from '../../machines/models/catalog.ts'
import type { Fit } from '../../machines/models/fit.ts'
import type { Speed } from '../../machines/models/speed.ts'
import type { BrokenModel, StoredModel } from '../../actors/models/store/stored-model.ts'
import type { PeerId } from '../../protocol/index.ts'
import type { ModelManifest } from '../../protocol/models/index.ts'

/** Whose word a manifest is. */
export type ModelStanding = 'trusted' | 'own' | 'built-in' | 'signed' | 'unsigned'

/** The catalog that a model is in: whose, and which version of it. */
export interface CatalogSource {
  readonly publisher: PeerId
  readonly version: number
}

/** One model as a person or a program sees it. */
export interface ModelView {
  readonly id: string
  readonly name: string
  readonly kind: ModelManifest['kind']
  readonly licence: string
  readonly standing: ModelStanding
  /** Where it is known from; null for one that is in no catalog of a trusted publisher. */
  readonly catalog: CatalogSource | null
  /** SHA-256 of the file; null where nobody has verified one. */
  readonly hash: string | null
  /** Bytes of the file; null where they are not known. */
  readonly bytes: number | null
  readonly quantization: string
  readonly parameters: number | null
  readonly contextTokens: number | null
  /** On this machine: `sound`, or what is wrong with its file; `absent`: known, and not here. */
  readonly state: 'sound' | BrokenModel['reason'] | 'absent'
  readonly isPinned: boolean
  readonly isReference: boolean
  /** Milliseconds since 1970; null for one that is not here. */
  readonly usedAtMs: number | null
  readonly path: string | null
}

/** All that is known of one model. */
export interface ModelInfo extends ModelView {
  readonly manifest: ModelManifest
  /** Absent where too little is known to say it. */
  readonly fit: Fit | undefined
  /** Absent where neither it nor one like it has run on this machine. */
  readonly speed: Speed | undefined
  /** Whole blocks that are known to be wrong. */
  readonly damaged: BrokenModel['damaged']
}

export function storedView(
  model: StoredModel | BrokenModel,
  standing: ModelStanding,
  catalog: CatalogSource | null,
): ModelView {
  const { hash, bytes, facts, isPinned, isReference, usedAtMs, path } = model
  const state = 'reason' in model ? model.reason : 'sound'
  const known = fieldsOf(model.manifest, standing, catalog)
  return { ...known, hash, bytes, ...factsOf(facts), state, isPinned, isReference, usedAtMs, path }
}

export function catalogView(entry: CatalogEntry, catalog: CatalogSource | null): ModelView {
  const { artifact, facts } = entry.manifest
  return {
    ...fieldsOf(entry.manifest, standingOf(entry), catalog),
    hash: artifact.sha256,
    bytes: artifact.bytes,
    ...factsOf(facts),
    state: 'absent',
    isPinned: false,
    isReference: false,
    usedAtMs: null,
    path: null,
  }
}

export function standingOf({ manifest, origin, isTrusted }: CatalogEntry): ModelStanding {
  if (isTrusted) return 'trusted'
  if (origin !== 'network') return origin
  return manifest.publisher === null ? 'unsigned' : 'signed'
}

const fieldsOf = (
  { id, name, kind, licence }: ModelManifest,
  standing: ModelStanding,
  catalog: CatalogSource | null,
) => ({
  id,
  name,
  kind,
  licence,
  standing,
  catalog,
})

const factsOf = ({ quantization, parameters, contextTokens }: StoredModel['facts']) => ({
  quantization,
  parameters,
  contextTokens,
})
