import type { ErrorCode, ModelId } from '../../protocol/index.ts'
import { noLoadTimes, type LoadTimes } from './load-time.ts'
import type { LoadedModel, ModelSpec, ModelSurvey, SlotId } from './model-types.ts'
import type { Resident } from './residency.ts'

/** One model, and what is remembered of it between two plans. */
export interface ResidentModel extends Resident {
  readonly spec: ModelSpec
  readonly survey: ModelSurvey | undefined
  /** Of its host while it is loaded. */
  readonly threads: number
  readonly loadingSinceMs: number
  /** How often it was held. */
  readonly turn: number
  /** The scheduler gives it no more requests. */
  readonly isLetGo: boolean
  /** Its owner wants it out, whether or not another needs the room. */
  readonly isSentAway: boolean
  /** It is served no more as soon as it is out. */
  readonly isLeaving: boolean
  /** Bytes that the engine is held to; undefined for one that was loaded before anybody looked at its file. */
  readonly bytesMax: number | undefined
}

export interface ResidentModels {
  readonly budgetBytes: number
  readonly mathCores: number
  readonly residents: readonly ResidentModel[]
  /** Models that requests wait for, in the order in which they began to wait. */
  readonly wanted: readonly ModelId[]
  readonly loadTimes: LoadTimes
  readonly lookAtMs: number
  /** The models of the start were looked at, and those to be loaded then are on their way. */
  readonly isBegun: boolean
}

/** What happened, as the hosts, the scheduler and the clock tell it. */
export type ResidencyEvent =
  | { readonly type: 'model.surveyed'; readonly survey: ModelSurvey }
  | { readonly type: 'model.ready'; readonly model: LoadedModel }
  | { readonly type: 'model.lost'; readonly modelId: ModelId }
  | { readonly type: 'model.failed'; readonly modelId: ModelId }
  | { readonly type: 'model.unloaded'; readonly modelId: ModelId }
  | { readonly type: 'model.want'; readonly modelId: ModelId }
  | { readonly type: 'model.unwant'; readonly modelId: ModelId }
  | { readonly type: 'model.evict'; readonly modelId: ModelId }
  | { readonly type: 'model.remove'; readonly modelId: ModelId }
  /** `turn` is that of the hold it answers. */
  | { readonly type: 'model.yielded'; readonly modelId: ModelId; readonly turn: number }
  | { readonly type: 'slot.run'; readonly slotId: SlotId }
  | { readonly type: 'slot.freed'; readonly slotId: SlotId }
  | { readonly type: 'slot.refused'; readonly slotId: SlotId }
  | { readonly type: 'look' }

/** A model that is not loaded and can be: what it will be, and how long that takes. */
export interface LoadableModel extends ModelSurvey {
  /** Milliseconds of loading, once there is room. */
  readonly loadMs: number
}

/** What is to be done about it, in this order. */
export type ResidencyOrder =
  | {
      readonly type: 'load'
      readonly modelId: ModelId
      readonly threads: number
      readonly bytesMax: number | undefined
      readonly loadMs: number
    }
  /** It is not loaded, and is served no more. */
  | { readonly type: 'remove'; readonly modelId: ModelId }
  | { readonly type: 'unload'; readonly modelId: ModelId }
  /** The scheduler gives it what waits for it now and nothing more, and says so when that is done. */
  | {
      readonly type: 'hold'
      readonly modelId: ModelId
      readonly turn: number
      readonly wantedBy: ModelId | undefined
      readonly loadMs: number
    }
  | { readonly type: 'release'; readonly modelId: ModelId }
  | { readonly type: 'loadable'; readonly model: LoadableModel }
  | { readonly type: 'refuse'; readonly modelId: ModelId; readonly code: ErrorCode; readonly message: string }

const toResident = (spec: ModelSpec): ResidentModel => ({
  modelId: spec.id,
  spec,
  survey: undefined,
  bytes: 0,
  state: 'surveying',
  isPinned: spec.isPinned ?? false,
  running: 0,
  usedAtMs: 0,
  keepUntilMs: 0,
  busyUntilMs: 0,
  threads: 0,
  loadingSinceMs: 0,
  turn: 0,
  isLetGo: false,
  isSentAway: false,
  isLeaving: false,
  bytesMax: undefined,
})

const noModels = { residents: [], wanted: [], loadTimes: noLoadTimes, lookAtMs: Infinity } as const

/** Models that come and go within a budget, from the start. */
export const createResidents = (
  specs: readonly ModelSpec[],
  bounds: Pick<ResidentModels, 'budgetBytes' | 'mathCores'>,
): ResidentModels => ({ ...noModels, ...bounds, isBegun: false, residents: specs.map(toResident) })

/** Models that are loaded at once and stay, whatever comes later. */
export const createStaying = (
  loading: readonly { readonly spec: ModelSpec; readonly threads: number }[],
  mathCores: number,
  nowMs: number,
): ResidentModels => ({
  ...noModels,
  mathCores,
  budgetBytes: Infinity,
  isBegun: true,
  residents: loading.map(({ spec, threads }) => ({
    ...toResident(spec),
    state: 'loading',
    isPinned: true,
    threads,
    loadingSinceMs: nowMs,
  })),
})

/**
 * One more model, which is looked at now and loaded when it is wanted.
 *
 * @param budgetBytes for all models together, where there was no bound so far
 */
export const addResident = (
  models: ResidentModels,
  spec: ModelSpec,
  budgetBytes: number,
): ResidentModels => ({
  ...models,
  budgetBytes: models.budgetBytes === Infinity ? budgetBytes : models.budgetBytes,
  residents: [...models.residents, toResident({ ...spec, load: 'demand' })],
})
