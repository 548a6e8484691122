export { toCapacity } from './health.ts'
export type { Health, HealthSample } from './health.ts'
export { healthSamplerMachine, sampleIntervalMs } from './health-sampler.machine.ts'
export type {
  HealthSamplerCommand,
  HealthSamplerContext,
  HealthSamplerEmitted,
  HealthSamplerInput,
} from './health-sampler.machine.ts'
