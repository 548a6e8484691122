export {
  type CatalogDocument,
  decodeCatalog,
  encodeCatalog,
  isCatalogSigned,
  signCatalog,
  toCatalogHash,
} from './catalog.ts'
export { blockBytes, modelLimits } from './limits.ts'
export {
  decodeManifest,
  encodeManifest,
  isLocalSource,
  isManifestSigned,
  type ModelFacts,
  modelFactsSchema,
  type ModelKind,
  modelKinds,
  type ModelManifest,
  modelManifestSchema,
  type ModelSource,
  modelsNetworkId,
  parseManifest,
  signManifest,
  toManifestHash,
  toHearsayKey,
  toUnverifiedKey,
} from './manifest.ts'
