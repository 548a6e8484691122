export { withoutEngine } from './engine.ts'
export {
  configKeyNames,
  configKeys,
  toFlag,
  toVariable,
  type Config,
  type ConfigInput,
  type ConfigKey,
} from './keys.ts'
export {
  configFilePath,
  configFromOptions,
  loadConfig,
  type ConfigSources,
  type LoadedConfig,
} from './load.ts'
export { describeOrigin } from './origin.ts'
export { isModelId, isModelPath } from './paths.ts'
export { toModelId } from '../../protocol/index.ts'
export { renderConfigDocs, renderExampleFile, shownValue } from './describe.ts'
export { writeExampleFile } from './write-example.ts'
