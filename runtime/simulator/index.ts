export {
  defaultOptions,
  type SimulationOptions,
  simulationLimits,
  suiteNodes,
  toStrategies,
} from './options.ts'
export { toReport } from './report.ts'
export { simulate, type SimulationResult } from './suite.ts'
export { toTargets } from './targets.ts'
