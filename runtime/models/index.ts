export {
  type AddOptions,
  type CacheReport,
  ModelLibrary,
  type ModelLibraryEvents,
  type ModelLibraryOptions,
} from './model-library.ts'
export type { ModelInfo, ModelView } from './model-views.ts'
export { openModelSigner } from './open-library.ts'
