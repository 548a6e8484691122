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
  LateModel,
} from './inference.machine.ts'
export * from './model-types.ts'
export { slotMachine } from './slot.machine.ts'
export type { JobCommand, JobEvent, RunJobInput, SlotInput } from './slot.machine.ts'
export { fitsEver, planResidency, planStart, residentBytes, togetherMax } from './residency.ts'
export type { ResidencyPlan, ResidencyQuery, Resident, ResidentState } from './residency.ts'
export { addResident, createResidents, createStaying } from './resident-models.ts'
export type { LoadableModel, ResidencyEvent, ResidencyOrder, ResidentModels } from './resident-models.ts'
export { stepResidents } from './step-residents.ts'
export { nextThreads, splitThreads } from './thread-budget.ts'
