export { hostMachine, recoveryDefaults } from './host.machine.ts'
export type {
  EngineHostCommand,
  EngineHostEvent,
  EngineHostInput,
  HostReport,
  RecoveryPolicy,
} from './host.machine.ts'
export { inferenceMachine } from './inference.machine.ts'
export type {
  InferenceCommand,
  InferenceContext,
  InferenceEmitted,
  InferenceInput,
} from './inference.machine.ts'
export * from './model-types.ts'
export { slotMachine } from './slot.machine.ts'
export type { JobCommand, JobEvent, RunJobInput, SlotInput } from './slot.machine.ts'
export { splitThreads } from './thread-budget.ts'
