import type { ModelId } from '../../protocol/index.ts'
import { afterLoad, loadTime } from './load-time.ts'
import { modelIdOfSlot, toSurvey } from './model-types.ts'
import { fitsEver, planResidency, planStart, togetherMax, type ResidencyPlan } from './residency.ts'
import type { ResidencyEvent, ResidencyOrder, ResidentModel, ResidentModels } from './resident-models.ts'
import { nextThreads } from './thread-budget.ts'

interface Step {
  readonly models: ResidentModels
  readonly orders: readonly ResidencyOrder[]
}

/** One event, and everything that follows from it. Pure. */
export function stepResidents(before: ResidentModels, event: ResidencyEvent, nowMs: number): Step {
  const { models, orders } = dismiss(note(before, event, nowMs))
  if (!models.isBegun) {
    if (models.residents.some(({ state }) => state === 'surveying')) return { models, orders }
    const begun = begin({ ...models, isBegun: true }, nowMs)
    return { models: begun.models, orders: [...orders, ...begun.orders] }
  }
  const news: ResidencyOrder[] = [...orders]
  let known = models
  for (const model of models.residents) {
    const stateBefore = before.residents.find(({ modelId }) => modelId === model.modelId)?.state
    // Its file was looked at: because it is new, or because its host gave up over it once and found it in order now.
    if ((stateBefore === 'failed' || stateBefore === 'surveying') && model.state === 'unloaded') {
      if (fitsEver(model, models)) offer(models, model, news)
      else {
        news.push(refusal(model, models))
        known = change(known, model.modelId, () => ({ state: 'failed' }))
      }
    }
    // What was lost while it was to go comes back as one that serves.
    if (stateBefore === 'held' && model.state === 'recovering')
      news.push({ type: 'release', modelId: model.modelId })
    // Offered before it is perhaps loaded again, so that nobody misses what it was.
    if (stateBefore === 'unloading' && model.state === 'unloaded') offer(models, model, news)
  }
  const next = act(known, nowMs)
  return { models: next.models, orders: [...news, ...next.orders] }
}

/** Those that are to be served no more go: at once where they are not loaded, and otherwise as soon as they are out. */
function dismiss(before: ResidentModels): Step {
  const isOut = ({ isLeaving, state }: ResidentModel): boolean =>
    isLeaving && (state === 'surveying' || state === 'unloaded' || state === 'failed')
  const out = before.residents.filter(isOut).map(({ modelId }) => modelId)
  const models = {
    ...before,
    wanted: before.wanted.filter((modelId) => !out.includes(modelId)),
    residents: before.residents.flatMap((model) => {
      if (isOut(model)) return []
      return model.isLeaving && model.state === 'ready' ? [{ ...model, isSentAway: true }] : [model]
    }),
  }
  return { models, orders: out.map((modelId) => ({ type: 'remove', modelId })) }
}

function note(models: ResidentModels, event: ResidencyEvent, nowMs: number): ResidentModels {
  const { wanted, loadTimes } = models
  switch (event.type) {
    case 'look':
      return models
    case 'model.want':
      return wanted.includes(event.modelId) ? models : { ...models, wanted: [...wanted, event.modelId] }
    case 'model.unwant':
      return { ...models, wanted: wanted.filter((modelId) => modelId !== event.modelId) }
    case 'model.surveyed': {
      const { survey } = event
      return change(models, survey.id, () => ({
        state: 'unloaded',
        survey,
        bytes: survey.bytes,
        bytesMax: survey.bytes,
      }))
    }
    case 'model.ready': {
      const { id } = event.model
      const model = models.residents.find(({ modelId }) => modelId === id)
      if (!model) return models
      // The survey's figure goes on counting: the engine was held to it, and plans that change midway never end.
      const { survey = toSurvey(event.model) } = model
      const { bytes } = survey
      const times = afterLoad(loadTimes, id, bytes, nowMs - model.loadingSinceMs)
      const isNew = model.state === 'loading'
      const ready = change(models, id, () => ({
        state: 'ready',
        survey,
        bytes,
        usedAtMs: nowMs,
        keepUntilMs: nowMs + (model.spec.keepLoadedMs ?? 0),
        // Loading it again would cost as much: so long it may be of use first.
        busyUntilMs: nowMs + loadTime(times, id, bytes),
        isLetGo: false,
      }))
      return {
        ...ready,
        loadTimes: isNew ? times : loadTimes,
        wanted: wanted.filter((modelId) => modelId !== id),
      }
    }
    case 'model.lost':
      return change(models, event.modelId, () => ({ state: 'recovering', running: 0, isSentAway: false }))
    case 'model.failed':
      return {
        ...change(models, event.modelId, () => ({ state: 'failed', running: 0, threads: 0 })),
        wanted: wanted.filter((modelId) => modelId !== event.modelId),
      }
    case 'model.unloaded':
      return change(models, event.modelId, () => ({
        state: 'unloaded',
        threads: 0,
        running: 0,
        isLetGo: false,
        isSentAway: false,
      }))
    case 'model.evict':
      return change(models, event.modelId, ({ state }) => ({
        isSentAway: state === 'ready' || state === 'held',
      }))
    case 'model.remove':
      return change(models, event.modelId, () => ({ isLeaving: true }))
    case 'model.yielded':
      // An answer to a hold that was taken back says nothing about the present one.
      return change(models, event.modelId, ({ state, turn, isLetGo }) => ({
        isLetGo: turn === event.turn ? state === 'held' : isLetGo,
      }))
    case 'slot.run':
      return change(models, modelIdOfSlot(event.slotId), ({ running }) => ({
        running: running + 1,
        usedAtMs: nowMs,
      }))
    case 'slot.freed':
    case 'slot.refused':
      return change(models, modelIdOfSlot(event.slotId), ({ running }) => ({
        running: Math.max(0, running - 1),
        usedAtMs: nowMs,
      }))
  }
}

/** Everything is known: what can never be loaded is said, and what is to be there from the start is loaded. */
function begin(before: ResidentModels, nowMs: number): Step {
  const orders: ResidencyOrder[] = []
  let models = before
  for (const model of before.residents) {
    if (model.state !== 'unloaded' || fitsEver(model, models)) continue
    orders.push(refusal(model, models))
    models = change(models, model.modelId, () => ({ state: 'failed' }))
  }
  const atStart = models.residents.filter(({ spec }) => spec.load !== 'demand').map(({ modelId }) => modelId)
  for (const modelId of planStart(models, atStart)) models = load(models, modelId, nowMs, orders)
  for (const model of models.residents) if (model.state === 'unloaded') offer(models, model, orders)
  const rest = act(models, nowMs)
  return { models: rest.models, orders: [...orders, ...rest.orders] }
}

function act(before: ResidentModels, nowMs: number): Step {
  const orders: ResidencyOrder[] = []
  let models = before
  const plan: ResidencyPlan = planResidency({ ...models, nowMs })
  for (const model of models.residents) {
    if (model.state !== 'held' || !model.isLetGo || model.running > 0) continue
    if (plan.keep.includes(model.modelId) && !model.isSentAway) continue
    orders.push({ type: 'unload', modelId: model.modelId })
    models = change(models, model.modelId, () => ({ state: 'unloading' }))
  }
  const [wantedBy] = models.wanted.filter((id) =>
    models.residents.some(({ modelId, state }) => modelId === id && state === 'unloaded'),
  )
  const toHold = models.residents.filter(
    ({ modelId, state, isSentAway }) => state === 'ready' && (isSentAway || plan.evict.includes(modelId)),
  )
  for (const { modelId, bytes, turn: turnBefore } of toHold) {
    const turn = turnBefore + 1
    orders.push({
      type: 'hold',
      modelId,
      turn,
      wantedBy: plan.evict.includes(modelId) ? wantedBy : undefined,
      loadMs: loadTime(models.loadTimes, modelId, bytes),
    })
    models = change(models, modelId, () => ({ state: 'held', turn, isLetGo: false }))
  }
  for (const modelId of plan.keep) {
    const model = models.residents.find((one) => one.modelId === modelId)
    if (model?.state !== 'held' || model.isSentAway) continue
    orders.push({ type: 'release', modelId })
    models = change(models, modelId, () => ({ state: 'ready', isLetGo: false }))
  }
  for (const modelId of plan.refuse) {
    const model = models.residents.find((one) => one.modelId === modelId)
    if (model) orders.push(refusal(model, models))
    models = {
      ...change(models, modelId, () => ({ state: 'failed' })),
      wanted: models.wanted.filter((one) => one !== modelId),
    }
  }
  // What one takes that is loaded as it came, without a look at its file, is known when it is there.
  const isUnclear = models.residents.some(
    ({ state, survey, threads }) =>
      (state === 'loading' || state === 'recovering') && survey === undefined && threads > 0,
  )
  if (isUnclear) return { models: { ...models, lookAtMs: plan.lookAtMs }, orders }
  const wide = plan.load.length > 0 ? tooWide(models) : []
  if (wide.length > 0) return reload({ ...models, lookAtMs: plan.lookAtMs }, wide, orders, nowMs)
  for (const modelId of plan.load) models = load(models, modelId, nowMs, orders)
  return { models: { ...models, lookAtMs: plan.lookAtMs }, orders }
}

/**
 * Loaded models whose threads leave none for another: they took the cores when fewer models could be loaded beside them.
 * A thread too many costs more than loading them again.
 */
function tooWide({ residents, mathCores, budgetBytes }: ResidentModels): readonly ModelId[] {
  const taken = residents.reduce((sum, { threads }) => sum + threads, 0)
  if (taken < mathCores) return []
  const share = Math.max(1, Math.floor(mathCores / togetherMax(budgetBytes, residents)))
  return residents.flatMap(({ modelId, threads }) => (threads > share ? [modelId] : []))
}

/** Sends loaded models away and wants them back: whoever is wanted before them is loaded first. */
function reload(
  before: ResidentModels,
  modelIds: readonly ModelId[],
  orders: readonly ResidencyOrder[],
  nowMs: number,
): Step {
  const toSend = modelIds.filter((modelId) =>
    before.residents.some((one) => one.modelId === modelId && !one.isSentAway && one.state !== 'unloading'),
  )
  if (toSend.length === 0) return { models: before, orders }
  const sent = toSend.reduce(
    (models, modelId) => change(models, modelId, () => ({ isSentAway: true })),
    before,
  )
  const wanted = [...sent.wanted, ...toSend.filter((modelId) => !sent.wanted.includes(modelId))]
  const next = act({ ...sent, wanted }, nowMs)
  return { models: next.models, orders: [...orders, ...next.orders] }
}

function load(
  models: ResidentModels,
  modelId: ModelId,
  nowMs: number,
  orders: ResidencyOrder[],
): ResidentModels {
  const model = models.residents.find((one) => one.modelId === modelId)
  if (!model) return models
  const taken = models.residents.filter(({ threads }) => threads > 0).map(({ threads }) => threads)
  const together = togetherMax(models.budgetBytes, models.residents)
  const threads = Math.min(nextThreads(models.mathCores, together, taken), model.spec.threadsMax ?? Infinity)
  const loadMs = loadTime(models.loadTimes, modelId, model.bytes)
  orders.push({ type: 'load', modelId, threads, bytesMax: model.bytesMax, loadMs })
  return change(models, modelId, () => ({ state: 'loading', threads, loadingSinceMs: nowMs }))
}

function offer(
  { loadTimes }: ResidentModels,
  { survey, bytes }: ResidentModel,
  orders: ResidencyOrder[],
): void {
  if (!survey) return
  const loadMs = loadTime(loadTimes, survey.id, bytes)
  orders.push({ type: 'loadable', model: { ...survey, bytes, loadMs } })
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1024 ** 2)

const refusal = ({ modelId, bytes }: ResidentModel, { budgetBytes }: ResidentModels): ResidencyOrder => ({
  type: 'refuse',
  modelId,
  code: 'QM_MODEL_TOO_LARGE',
  message:
    `"${modelId}" needs about ${megabytes(bytes)} MB, and the memory budget of ${megabytes(budgetBytes)} MB has no ` +
    `room for it beside the models that stay loaded; raise the budget, or let fewer stay`,
})

function change(
  models: ResidentModels,
  modelId: ModelId,
  next: (model: ResidentModel) => Partial<ResidentModel>,
): ResidentModels {
  const residents = models.residents.map((model) =>
    model.modelId === modelId ? { ...model, ...next(model) } : model,
  )
  return { ...models, residents }
}
