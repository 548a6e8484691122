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
export { isModelPath } from './paths.ts'
export { renderConfigDocs, renderExampleFile, shownValue } from './describe.ts'
