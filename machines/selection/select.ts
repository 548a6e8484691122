import { builtInModelId, type ModelAd, type PeerId } from '../../protocol/index.ts'
import { toEffortMs } from '../trust/effort.ts'
import {
  fittingModel,
  freeSlots,
  isLoadable,
  openRequests,
  queuedWork,
  rejection,
  type Candidate,
  type Needs,
  type Rejection,
} from './candidate.ts'
import { createRandom } from './random.ts'
import { claimAnswers, speedHalfLifeMs, type Speed } from './speed.ts'
import { turnsAt } from './turns.ts'

/** Everything that decided a choice besides the candidates, plain enough for JSON. */
export interface SelectionQuery extends Needs {
  readonly exclude: readonly PeerId[]
  /** The worker that served this conversation before. */
  readonly affinityWorkerId?: PeerId | undefined
}

/** How the chosen one was found among the best. */
export type Manner =
  /** It stood alone within the band. */
  | 'best'
  /** Drawn from the band. */
  | 'band'
  | 'affinity'
  /** Drawn from those not known well, or not lately. */
  | 'trial'

/**
 * Enough to replay a choice. The candidates are the very values that were compared, kept by reference: making a trace
 * costs nothing, and `explain` works the terms out again when somebody asks.
 */
export interface SelectionTrace {
  readonly atMs: number
  readonly seed: number
  readonly query: SelectionQuery
  readonly candidates: readonly Candidate[]
  readonly workerId: PeerId | null
  readonly modelId: string | null
  readonly manner: Manner | null
}

export type Selection =
  | { readonly workerId: PeerId; readonly model: ModelAd; readonly trace: SelectionTrace }
  | { readonly workerId: null; readonly trace: SelectionTrace }

export const selectionTerms = {
  /** A candidate within this part of the best is as good as the best. */
  band: 0.05,
  /** How much busier than the mean the worker of an old conversation may be. */
  affinityLoadMax: 1.25,
  /** The part of choices that goes to workers not known well or not lately, if any is as free as the best. */
  trialShare: 0.1,
  /** Milliseconds of loading that halve what a worker is worth. */
  loadHalfMs: 10_000,
  /** Milliseconds of work asked for that do the same. */
  effortHalfMs: 1_000,
} as const

/** The groups in which candidates compete; only the first that is not empty goes on. */
export const groups = ['slot-free', 'queue-empty', 'queued', 'loadable'] as const

export interface Assessment {
  readonly model: ModelAd
  /** The lower, the earlier; see `groupOf`. */
  readonly group: number
  readonly queued: number
  readonly score: number
}

/** Work is asked for by those whose queue is nearly full: who says that it is empty all the same gains nothing by it. */
const isBusy = ({ load }: Candidate, queued: number): boolean => queued > 0 || (load.effortBits ?? 0) > 0

/** Index into `groups`, after all of them for one that only holds the built-in model while another would do. */
function groupOf(candidate: Candidate, model: ModelAd, needs: Needs, queued: number): number {
  // Its slots are those of other models.
  const tier = isLoadable(model) ? 3 : isBusy(candidate, queued) ? 2 : freeSlots(candidate) > 0 ? 0 : 1
  return needs.modelId === undefined && model.id === builtInModelId ? tier + groups.length : tier
}

/** What is left of a score when the model has to be loaded first. */
export const loadFactor = (model: ModelAd): number =>
  isLoadable(model) ? selectionTerms.loadHalfMs / (selectionTerms.loadHalfMs + (model.loadMs ?? 0)) : 1

/** Milliseconds that this client would have to work before it may send a prompt there. */
export const effortMsOf = ({ load }: Candidate): number => toEffortMs(load.effortBits ?? 0)

/** What is left of a score when work is asked for. */
const effortFactor = (candidate: Candidate): number =>
  selectionTerms.effortHalfMs / (selectionTerms.effortHalfMs + effortMsOf(candidate))

/** Tier 2's score with an empty queue, tier 3's otherwise, less what loading the model and work cost; 0–1. */
function scoreOf(
  candidate: Candidate,
  model: ModelAd,
  queued: number,
  speed: Pick<Speed, 'responsiveness' | 'performance'> = candidate.speed,
): number {
  const health = candidate.load.healthScore / 100
  const score = isBusy(candidate, queued)
    ? 0.6 * queueAvailability(candidate, queued) + 0.3 * health + 0.1 * speed.performance
    : 0.7 * health + 0.3 * speed.responsiveness
  return score * loadFactor(model) * effortFactor(candidate)
}

/** What one candidate is worth for one request, in full: for explaining. */
export function assess(candidate: Candidate, needs: Needs, nowMs: number): Assessment | Rejection {
  const model = fittingModel(candidate.models, needs)
  if (typeof model === 'string') return model
  const reason = rejection(candidate, nowMs)
  if (reason !== undefined) return reason
  const queued = queuedWork(candidate, nowMs)
  const group = groupOf(candidate, model, needs, queued)
  return { model, group, queued, score: scoreOf(candidate, model, queued) }
}

export const queueAvailability = ({ load }: Candidate, queued: number): number =>
  load.queueCapacity > 0 ? Math.max(0, 1 - queued / load.queueCapacity) : 0

/** The winning group, column by column: thousands of small objects would cost more than all the arithmetic. */
interface Finalists {
  candidates: Candidate[]
  models: ModelAd[]
  scores: number[]
}

/** Above so many exclusions a set is faster than looking through the list. */
const listedMax = 8

/**
 * Chooses a worker, of two drawn from the band the one with less to do, or else the one asked less: two draws spread the
 * load far more evenly than one (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001), and herd no
 * more. Pure: the same arguments give the same choice. One pass over the candidates keeps those of the best group so
 * far, a second over these draws from the band, so that nothing is ever sorted.
 */
export function select(
  candidates: readonly Candidate[],
  query: SelectionQuery,
  seed: number,
  nowMs: number,
): Selection {
  const { exclude } = query
  const excluded = exclude.length > listedMax ? new Set(exclude) : undefined
  let finalists: Finalists = { candidates: [], models: [], scores: [] }
  let best = 0
  let bestGroup = Infinity
  for (const candidate of candidates) {
    const { workerId } = candidate
    if (exclude.length > 0 && (excluded?.has(workerId) ?? exclude.includes(workerId))) continue
    const model = fittingModel(candidate.models, query)
    if (typeof model === 'string' || rejection(candidate, nowMs) !== undefined) continue
    const queued = queuedWork(candidate, nowMs)
    const group = groupOf(candidate, model, query, queued)
    if (group > bestGroup) continue
    if (group < bestGroup) {
      bestGroup = group
      best = 0
      finalists = { candidates: [], models: [], scores: [] }
    }
    const score = scoreOf(candidate, model, queued)
    finalists.candidates.push(candidate)
    finalists.models.push(model)
    finalists.scores.push(score)
    if (score > best) best = score
  }
  const drawn = draw(finalists, best * (1 - selectionTerms.band), query.affinityWorkerId, seed, nowMs)
  const chosen = drawn && finalists.candidates[drawn.index]
  const model = drawn && finalists.models[drawn.index]
  const workerId = chosen?.workerId ?? null
  const trace: SelectionTrace = {
    atMs: nowMs,
    seed,
    query,
    candidates,
    workerId,
    modelId: model?.id ?? null,
    manner: drawn?.manner ?? null,
  }
  return workerId === null || model === undefined ? { workerId: null, trace } : { workerId, model, trace }
}

/** The same choice again, from nothing but its trace. */
export const replay = (trace: SelectionTrace): Selection =>
  select(trace.candidates, trace.query, trace.seed, trace.atMs)

function draw(
  { candidates, models, scores }: Finalists,
  floor: number,
  affinityWorkerId: PeerId | undefined,
  seed: number,
  nowMs: number,
): { readonly index: number; readonly manner: Manner } | undefined {
  const band: number[] = []
  let total = 0
  let open = 1
  let slots = 0
  let old = -1
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? 0
    const candidate = candidates[index]
    if (score < floor || candidate === undefined) continue
    band.push(index)
    total += weight(score)
    open += openRequests(candidate)
    slots += slotsOf(candidate)
    if (candidate.workerId === affinityWorkerId) old = index
  }
  const [first] = band
  if (first === undefined) return undefined

  const familiar = candidates[old]
  if (familiar !== undefined) {
    // One more request keeps it within 1.25 × the mean of the band, each worker counted by its slots.
    const loadMax = (selectionTerms.affinityLoadMax * open * slotsOf(familiar)) / slots
    if (openRequests(familiar) + 1 <= Math.ceil(loadMax)) return { index: old, manner: 'affinity' }
  }
  const random = createRandom(seed)
  const turnsOf = (index: number): number => {
    const candidate = candidates[index]
    return candidate ? turnsAt(candidate.turns, nowMs) / (slotsOf(candidate) * weight(scores[index] ?? 0)) : 0
  }
  const better = (one: number, other: number): number =>
    (fullness(candidates[other]) - fullness(candidates[one]) || turnsOf(other) - turnsOf(one)) < 0
      ? other
      : one

  if (random() < selectionTerms.trialShare) {
    // One at a time each: a flood of new workers costs a tenth of the requests, not all of them.
    const unknown = Array.from(candidates.keys()).filter((index) => {
      const candidate = candidates[index]
      const model = models[index]
      if (candidate === undefined || model === undefined || !isUnknown(candidate, nowMs)) return false
      return mayReach(candidate, model, floor, nowMs)
    })
    const drawOne = (): number | undefined => unknown[Math.floor(random() * unknown.length)]
    const [one, other] = [drawOne(), drawOne()]
    if (one !== undefined && other !== undefined) return { index: better(one, other), manner: 'trial' }
  }
  if (band.length === 1) return { index: first, manner: 'best' }
  const drawOne = (): number => {
    let left = random() * total
    for (const index of band) {
      left -= weight(scores[index] ?? 0)
      if (left < 0) return index
    }
    return first
  }
  return { index: better(drawOne(), drawOne()), manner: 'band' }
}

/** Requests for each of its slots. */
const fullness = (candidate: Candidate | undefined): number =>
  candidate === undefined ? Infinity : openRequests(candidate) / slotsOf(candidate)

/** Where all scores are zero, all weigh the same. */
const weight = (score: number): number => score + 1e-9

const slotsOf = ({ load }: Candidate): number => Math.max(1, load.slots)

/** One that looked slow once would otherwise be left out, and so never measured, again. */
const isUnknown = ({ inFlight, speed }: Candidate, nowMs: number): boolean =>
  inFlight === 0 && (speed.answers < claimAnswers || nowMs - speed.firstTokenAtMs > speedHalfLifeMs)

const fastest = { responsiveness: 1, performance: 1 }

/** Whether it would be in the band if it were fast: a trial of any other would teach nothing of use. */
const mayReach = (candidate: Candidate, model: ModelAd, floor: number, nowMs: number): boolean =>
  scoreOf(candidate, model, queuedWork(candidate, nowMs), fastest) >= floor
