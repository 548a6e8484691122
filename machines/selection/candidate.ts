import {
  builtInModelId,
  limits,
  protocolVersion,
  type HealthState,
  type ModelAd,
  type ModelHash,
  type ModelId,
  type PeerId,
} from '../../protocol/index.ts'
import { isKind, type KindNeeds } from './model-kind.ts'
import { knowsTools, type ToolNeeds } from './tool-models.ts'
import type { Speed } from './speed.ts'
import { barrier, failureWork, openMax, type Barrier, type Standing } from './standing.ts'
import type { Turns } from './turns.ts'

/** What a worker says about its load. A claim, corrected below by what this client knows itself. */
export interface LoadClaim {
  /** 0–100, 100 is idle. */
  readonly healthScore: number
  readonly state: HealthState
  readonly accepting: boolean
  readonly queueLength: number
  readonly queueCapacity: number
  readonly slotsBusy: number
  readonly slots: number
  /** Zero bits of a hash that it asks of this client with each prompt; absent: none. */
  readonly effortBits?: number | undefined
}

/** A worker as this client sees it at one moment. Never changed in place, so that traces can keep it. */
export interface Candidate {
  readonly workerId: PeerId
  /** The node's own worker. */
  readonly local: boolean
  readonly protocol: number
  readonly models: readonly ModelAd[]
  readonly load: LoadClaim
  /** Requests of this client that are open there. */
  readonly inFlight: number
  /** Those of them that its last status cannot have counted. */
  readonly unreported: number
  readonly turns: Turns
  readonly standing: Standing
  readonly speed: Speed
}

/**
 * What a request needs. Without `modelId` and `modelHash` any model of the right kind will do, the small built-in one
 * last.
 */
export interface Needs extends KindNeeds, ToolNeeds {
  readonly modelId?: ModelId | undefined
  readonly modelHash?: ModelHash | undefined
  /** Tokens of prompt and answer together. */
  readonly contextTokens?: number | undefined
}

/** Why a candidate is out, in the order in which it is checked. */
export type Rejection =
  | 'excluded'
  | 'protocol'
  | 'model'
  | 'model-hash'
  | 'model-kind'
  | 'context'
  | 'tools'
  | 'not-accepting'
  | 'overloaded'
  | 'queue-full'
  | 'at-limit'
  | Barrier

/** Whether a model has the name and the weights that are asked for, whatever it does. */
export const isMeant = ({ id, hash }: ModelAd, { modelId = id, modelHash = hash }: Needs): boolean =>
  id === modelId && hash === modelHash

/** Whether a worker would have to load the model first. */
export const isLoadable = ({ state }: ModelAd): boolean => state === 'loadable'

/**
 * The first advertised model that fits, one that has to be loaded only if none is, and the built-in one only if nothing
 * else does; or how far the best one got.
 */
export function fittingModel(models: readonly ModelAd[], needs: Needs): ModelAd | Rejection {
  const { modelId, modelHash, contextTokens = 0 } = needs
  let reason: Rejection = 'model'
  let builtIn: ModelAd | undefined
  let loadable: ModelAd | undefined
  for (const model of models) {
    if (modelId !== undefined && model.id !== modelId) continue
    if (modelHash !== undefined && model.hash !== modelHash) {
      if (reason === 'model') reason = 'model-hash'
    } else if (!isKind(model, needs)) {
      // Where any model would do, this one was never meant.
      if (modelId !== undefined || modelHash !== undefined) reason = 'model-kind'
    } else if (model.contextTokens < contextTokens) {
      reason = 'context'
    } else if (!knowsTools(model, needs)) {
      reason = 'tools'
    } else if (modelId === undefined && model.id === builtInModelId) {
      builtIn = model
    } else if (isLoadable(model)) {
      loadable ??= model
    } else {
      return model
    }
  }
  return loadable ?? builtIn ?? reason
}

/** Slots that nobody uses, as far as we know. */
export const freeSlots = ({ load, unreported }: Candidate): number =>
  Math.max(0, load.slots - load.slotsBusy - unreported)

/** Requests of ours that the worker cannot have reported and has no slot for. */
const unslotted = ({ load, unreported }: Candidate): number =>
  Math.max(0, unreported - Math.max(0, load.slots - load.slotsBusy))

/** Why a worker cannot take any request now, whatever its model. */
export function rejection(candidate: Candidate, nowMs: number): Rejection | undefined {
  const { protocol, load, inFlight, standing } = candidate
  if (protocol !== protocolVersion) return 'protocol'
  if (!load.accepting) return 'not-accepting'
  if (load.state === 'overloaded') return 'overloaded'
  if (freeSlots(candidate) === 0 && load.queueLength + unslotted(candidate) >= load.queueCapacity) {
    return 'queue-full'
  }
  // The worker would refuse the next one anyway; without this bound a silent one could collect any number.
  if (inFlight >= limits.requestsPerPeerMax) return 'at-limit'
  const barred = barrier(standing, nowMs)
  if (barred !== undefined) return barred
  return inFlight >= openMax(standing) ? 'refused-lately' : undefined
}

/**
 * Requests that wait there: those it reports, those of ours it cannot have reported and has no slot for, past failures,
 * and what we have open there beyond what it has earned by answering.
 */
export function queuedWork(candidate: Candidate, nowMs: number): number {
  const { load, inFlight, standing } = candidate
  const untrusted = Math.max(0, inFlight - standing.allowance)
  return load.queueLength + Math.max(unslotted(candidate), untrusted) + failureWork(standing, nowMs)
}

/** Requests running and waiting there, for comparing workers with each other. */
export const openRequests = ({ load, unreported }: Candidate): number =>
  load.slotsBusy + load.queueLength + unreported
