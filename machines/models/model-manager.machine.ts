import { setup, stopChild } from 'xstate'
import type { ErrorCode } from '../../protocol/index.ts'
import { fetchMachine, type FetchInput, type FetchOutput } from './fetch.machine.ts'
import { seederMachine, type SeederOutput, seedPauseReasons, type SeedPauseReason } from './seeder.machine.ts'

/** Models that are fetched at the same time; the others wait, because they would only share the same line. */
export const fetchesAtOnce = 2
/** Pulls that may wait. */
export const pullsWaitingMax = 100
/** Models offered at once. A parent has at most 100 children. */
export const seedersMax = 90

export type Pull = FetchInput

export interface Seed {
  readonly hash: string
  readonly giveBytesMax?: number | undefined
}

export interface ModelManagerContext {
  readonly waiting: readonly Pull[]
  readonly fetching: readonly string[]
  /** Hashes of the models that are offered. */
  readonly seeding: readonly string[]
  /** For all models: the owner wants the machine for something else. */
  readonly pausedBy: readonly SeedPauseReason[]
}

export type ModelManagerCommand =
  | ({ readonly type: 'model.pull' } & Pull)
  | { readonly type: 'model.cancel'; readonly pullId: string }
  | ({ readonly type: 'model.seed' } & Seed)
  | { readonly type: 'model.unseed'; readonly hash: string }
  | { readonly type: 'models.pause'; readonly reason: SeedPauseReason }
  | { readonly type: 'models.resume'; readonly reason: SeedPauseReason }
  | { readonly type: 'models.stop' }
  /** What XState says of a child that ended. */
  | { readonly type: `xstate.done.actor.${string}`; readonly actorId: string; readonly output: unknown }
  | { readonly type: `xstate.error.actor.${string}`; readonly actorId: string; readonly error: unknown }

export type ModelManagerEmitted =
  | { readonly type: 'pull.started'; readonly pullId: string }
  | { readonly type: 'pull.ended'; readonly pullId: string; readonly output: FetchOutput }
  | { readonly type: 'pull.refused'; readonly pullId: string; readonly code: ErrorCode }
  | {
      readonly type: 'seed.ended'
      readonly hash: string
      /** Why it is offered no more, unless it was meant to end. */
      readonly error: SeederOutput['error']
    }

const seedDefect = { code: 'QM_INTERNAL', message: 'offering ended by a defect' } as const

const pullActor = (pullId: string): string => `pull.${pullId}`
const seedActor = (hash: string): string => `seed.${hash}`

const managerSetup = setup({
  types: {
    context: {} as ModelManagerContext,
    events: {} as ModelManagerCommand,
    emitted: {} as ModelManagerEmitted,
  },
  actors: { fetch: fetchMachine, seeder: seederMachine },
  guards: {
    isFull: ({ context }) => context.waiting.length >= pullsWaitingMax,
    isKnownPull: ({ context }, params: { readonly pullId: string }) =>
      context.fetching.includes(params.pullId) ||
      context.waiting.some(({ pullId }) => pullId === params.pullId),
    isSeeding: ({ context }, params: { readonly hash: string }) => context.seeding.includes(params.hash),
    hasPlace: ({ context }) => context.seeding.length < seedersMax,
  },
})

/** Starts what waits while there is room for it. */
const startNext = managerSetup.enqueueActions(({ context, enqueue }) => {
  const room = fetchesAtOnce - context.fetching.length
  const next = context.waiting.slice(0, Math.max(0, room))
  if (next.length === 0) return
  enqueue.assign({
    waiting: context.waiting.slice(next.length),
    fetching: [...context.fetching, ...next.map(({ pullId }) => pullId)],
  })
  for (const pull of next) {
    enqueue.spawnChild('fetch', { id: pullActor(pull.pullId), input: pull })
    enqueue.emit({ type: 'pull.started', pullId: pull.pullId })
  }
})

const add = managerSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'model.pull') return
  const { type: _, ...pull } = event
  enqueue.assign({ waiting: [...context.waiting, pull] })
})

const cancel = managerSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'model.cancel') return
  const { pullId } = event
  if (context.fetching.includes(pullId)) {
    enqueue.sendTo(pullActor(pullId), { type: 'fetch.cancel' })
    return
  }
  enqueue.assign({ waiting: context.waiting.filter((pull) => pull.pullId !== pullId) })
  enqueue.emit({ type: 'pull.ended', pullId, output: { kind: 'cancelled' } })
})

const seed = managerSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'model.seed') return
  const { hash, giveBytesMax } = event
  enqueue.assign({ seeding: [...context.seeding, hash] })
  enqueue.spawnChild('seeder', { id: seedActor(hash), input: { hash, giveBytesMax } })
  for (const reason of context.pausedBy) enqueue.sendTo(seedActor(hash), { type: 'seeder.pause', reason })
})

const limitSeed = managerSetup.enqueueActions(({ event, enqueue }) => {
  if (event.type !== 'model.seed') return
  const { hash, giveBytesMax } = event
  enqueue.sendTo(seedActor(hash), { type: 'seeder.limit', giveBytesMax })
})

const unseed = managerSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type === 'model.unseed' && context.seeding.includes(event.hash)) {
    enqueue.sendTo(seedActor(event.hash), { type: 'seeder.stop' })
  }
})

const tellSeeders = managerSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'models.pause' && event.type !== 'models.resume') return
  const { reason, type } = event
  const isPaused = type === 'models.pause'
  enqueue.assign({
    pausedBy: seedPauseReasons.filter((known) =>
      known === reason ? isPaused : context.pausedBy.includes(known),
    ),
  })
  for (const hash of context.seeding) {
    enqueue.sendTo(seedActor(hash), { type: isPaused ? 'seeder.pause' : 'seeder.resume', reason })
  }
})

/** Says how a child ended, and lets go of it: XState keeps those that have ended. */
const forget = managerSetup.enqueueActions(({ context, event, enqueue }) => {
  if (!('actorId' in event)) return
  const { actorId } = event
  enqueue(stopChild(actorId))
  if (actorId.startsWith('pull.')) {
    const pullId = actorId.slice('pull.'.length)
    enqueue.assign({ fetching: context.fetching.filter((id) => id !== pullId) })
    const failed: FetchOutput = {
      kind: 'failed',
      code: 'QM_INTERNAL',
      message: 'the fetch ended by a defect',
      failures: [],
    }
    const output = 'output' in event ? (event.output as FetchOutput) : failed
    enqueue.emit({ type: 'pull.ended', pullId, output })
  } else {
    const hash = actorId.slice('seed.'.length)
    enqueue.assign({ seeding: context.seeding.filter((seeding) => seeding !== hash) })
    const error = 'output' in event ? (event.output as SeederOutput).error : seedDefect
    enqueue.emit({ type: 'seed.ended', hash, error })
  }
})

const stopAll = managerSetup.enqueueActions(({ context, enqueue }) => {
  for (const { pullId } of context.waiting) {
    enqueue.emit({ type: 'pull.ended', pullId, output: { kind: 'cancelled' } })
  }
  enqueue.assign({ waiting: [] })
  for (const pullId of context.fetching) enqueue.sendTo(pullActor(pullId), { type: 'fetch.cancel' })
  for (const hash of context.seeding) enqueue.sendTo(seedActor(hash), { type: 'seeder.stop' })
})

/** Every model on its way to this node, and every one that it offers to others. */
export const modelManagerMachine = managerSetup.createMachine({
  id: 'model-manager',
  context: { waiting: [], fetching: [], seeding: [], pausedBy: [] },
  initial: 'running',
  on: {
    'xstate.done.actor.*': { actions: [forget, startNext] },
    'xstate.error.actor.*': { actions: [forget, startNext] },
  },
  states: {
    running: {
      on: {
        'model.pull': [
          // The one that is on its way tells how it ends.
          { guard: { type: 'isKnownPull', params: ({ event }) => ({ pullId: event.pullId }) } },
          {
            guard: 'isFull',
            actions: managerSetup.emit(({ event }) => ({
              type: 'pull.refused',
              pullId: 'pullId' in event ? event.pullId : '',
              code: 'QM_TOO_MANY_REQUESTS',
            })),
          },
          { actions: [add, startNext] },
        ],
        'model.cancel': {
          guard: { type: 'isKnownPull', params: ({ event }) => ({ pullId: event.pullId }) },
          actions: cancel,
        },
        'model.seed': [
          {
            guard: { type: 'isSeeding', params: ({ event }) => ({ hash: event.hash }) },
            actions: limitSeed,
          },
          { guard: 'hasPlace', actions: seed },
        ],
        'model.unseed': { actions: unseed },
        'models.pause': { actions: tellSeeders },
        'models.resume': { actions: tellSeeders },
        'models.stop': 'stopping',
      },
    },
    stopping: {
      entry: stopAll,
      always: {
        guard: ({ context }) => context.fetching.length === 0 && context.seeding.length === 0,
        target: 'stopped',
      },
    },
    stopped: { type: 'final' },
  },
})
