import type { ModelId } from '../../protocol/index.ts'

/**
 * Where a model is on its way into memory and out again. `held`: it still runs what it has, and goes once the scheduler
 * sends it nothing more. `recovering`: its thread was lost, and it is loaded again.
 */
export type ResidentState =
  'surveying' | 'unloaded' | 'loading' | 'ready' | 'held' | 'unloading' | 'recovering' | 'failed'

/** What decides whether a model may stay. */
export interface Resident {
  readonly modelId: ModelId
  /** Bytes it takes while it is loaded, and 0 while nobody knows. */
  readonly bytes: number
  readonly state: ResidentState
  readonly isPinned: boolean
  /** Requests that it runs. */
  readonly running: number
  /** When it last began or ended a request, or became ready. */
  readonly usedAtMs: number
  /** Until then it stays although nobody needs it. */
  readonly keepUntilMs: number
  /** Until then it stays if it has something to do: a switch that costs more than it brings helps nobody. */
  readonly busyUntilMs: number
}

export interface ResidencyQuery {
  readonly budgetBytes: number
  readonly residents: readonly Resident[]
  /** Models that requests wait for, in the order in which they began to wait. */
  readonly wanted: readonly ModelId[]
  readonly nowMs: number
}

export interface ResidencyPlan {
  /** Fit now, one after the other. */
  readonly load: readonly ModelId[]
  /** Have to go, the least recently used first: those with nothing to do, then those that work. */
  readonly evict: readonly ModelId[]
  /** Were to go and may stay. */
  readonly keep: readonly ModelId[]
  /** Will never fit beside what is pinned. */
  readonly refuse: readonly ModelId[]
  /** When the same question has another answer, if nothing happens before; infinite when it has not. */
  readonly lookAtMs: number
}

/** States in which a model's memory is taken. */
const takesMemory: ReadonlySet<ResidentState> = new Set([
  'loading',
  'ready',
  'held',
  'unloading',
  'recovering',
])

/** Bytes that the models hold now, those included that are on their way in or out. */
export const residentBytes = (residents: readonly Resident[]): number =>
  residents.reduce((sum, { bytes, state }) => sum + (takesMemory.has(state) ? bytes : 0), 0)

/** Whether a model can be loaded at all: with nothing beside it but what is pinned. */
export function fitsEver(
  { modelId, bytes }: Resident,
  { budgetBytes, residents }: Pick<ResidencyQuery, 'budgetBytes' | 'residents'>,
): boolean {
  const pinned = residents.filter(
    (other) => other.isPinned && other.modelId !== modelId && other.state !== 'failed',
  )
  return pinned.reduce((sum, other) => sum + other.bytes, bytes) <= budgetBytes
}

/** When a model may go: later while it works than when it has nothing to do. */
const mayGoAtMs = ({ running, keepUntilMs, busyUntilMs }: Resident): number =>
  running > 0 ? Math.max(keepUntilMs, busyUntilMs) : keepUntilMs

/** Those chosen before stay chosen; then the idle ones, then the others; the least recently used first. */
const byDispensability = (a: Resident, b: Resident): number =>
  Number(b.state === 'held') - Number(a.state === 'held') ||
  Number(a.running > 0) - Number(b.running > 0) ||
  a.usedAtMs - b.usedAtMs ||
  (a.modelId < b.modelId ? -1 : 1)

/**
 * Which models come and which go. Whoever waits first is served first, and nobody is sent away before that is enough to
 * let another in. Pure: the machine beside it acts on the answer and asks again when something has changed.
 */
export function planResidency({ budgetBytes, residents, wanted, nowMs }: ResidencyQuery): ResidencyPlan {
  const load: ModelId[] = []
  const evict: ModelId[] = []
  const refuse: ModelId[] = []
  let lookAtMs = Infinity
  let freeBytes = budgetBytes - residentBytes(residents)
  for (const modelId of wanted) {
    const model = residents.find((one) => one.modelId === modelId && one.state === 'unloaded')
    if (model === undefined) continue
    if (!fitsEver(model, { budgetBytes, residents })) {
      refuse.push(modelId)
      continue
    }
    if (model.bytes <= freeBytes) {
      load.push(modelId)
      freeBytes -= model.bytes
      continue
    }
    const leaving = residents.filter(({ state }) => state === 'unloading')
    const missingBytes = model.bytes - freeBytes - leaving.reduce((sum, { bytes }) => sum + bytes, 0)
    const room = makeRoom(residents, missingBytes, nowMs)
    evict.push(...room.evict)
    lookAtMs = room.lookAtMs
    // Nobody overtakes: a small model after a small model would keep a large one out for ever.
    break
  }
  const held = residents.filter(({ state }) => state === 'held').map(({ modelId }) => modelId)
  return { load, evict, keep: held.filter((modelId) => !evict.includes(modelId)), refuse, lookAtMs }
}

function makeRoom(
  residents: readonly Resident[],
  missingBytes: number,
  nowMs: number,
): { readonly evict: readonly ModelId[]; readonly lookAtMs: number } {
  const going = residents
    .filter(({ state, isPinned }) => state === 'held' || (state === 'ready' && !isPinned))
    .toSorted(byDispensability)
  const evict: ModelId[] = []
  let leftBytes = missingBytes
  for (const model of going) {
    if (leftBytes <= 0) break
    if (model.state !== 'held' && mayGoAtMs(model) > nowMs) continue
    evict.push(model.modelId)
    leftBytes -= model.bytes
  }
  if (leftBytes <= 0) return { evict, lookAtMs: Infinity }
  // Sending some away would bring nothing yet. Those on their way out are not called back for that.
  const later = going.filter(({ state }) => state !== 'held').map(mayGoAtMs)
  return {
    evict: going.filter(({ state }) => state === 'held').map(({ modelId }) => modelId),
    lookAtMs: Math.min(Infinity, ...later.filter((atMs) => atMs > nowMs)),
  }
}

/** The models to load at the start, in their order and as far as they fit; those that are pinned come first. */
export function planStart(
  { budgetBytes, residents }: Pick<ResidencyQuery, 'budgetBytes' | 'residents'>,
  atStart: readonly ModelId[],
): readonly ModelId[] {
  const load: ModelId[] = []
  let freeBytes = budgetBytes - residentBytes(residents)
  const models = atStart.flatMap((modelId) => residents.find((one) => one.modelId === modelId) ?? [])
  for (const { modelId, bytes, state } of models.toSorted(
    (a, b) => Number(b.isPinned) - Number(a.isPinned),
  )) {
    if (state !== 'unloaded' || bytes > freeBytes) continue
    load.push(modelId)
    freeBytes -= bytes
  }
  return load
}

/** How many of the models can be loaded at the same time, at most; what is pinned is always among them. At least 1. */
export function togetherMax(budgetBytes: number, residents: readonly Resident[]): number {
  const models = residents
    .filter(({ state }) => state !== 'failed' && state !== 'surveying')
    .toSorted((a, b) => Number(b.isPinned) - Number(a.isPinned) || a.bytes - b.bytes)
  let freeBytes = budgetBytes
  let count = 0
  for (const { bytes } of models) {
    if (bytes > freeBytes) continue
    freeBytes -= bytes
    count++
  }
  return Math.max(1, count)
}
