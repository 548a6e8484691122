import { enqueueActions, fromCallback, setup } from 'xstate'
import { limits, type ErrorCode, type RequestId } from '../../protocol/index.ts'
import type { Failure } from './attempts.ts'
import type { RequestInput } from './request.machine.ts'
import {
  requestShardMachine,
  requestsPerShardMax,
  type RequestClosed,
  type RequestShardCommand,
} from './request-shard.machine.ts'

export interface RequesterInput {
  /** Requests open at once, at most `limits.requestsOpenMax`. */
  readonly requestsMax: number
}

export interface RequesterContext {
  readonly requestsMax: number
  /** Requests open in each shard, by the shard's number; an empty shard is gone. */
  readonly openByShard: ReadonlyMap<number, number>
}

export type RequesterCommand =
  | { readonly type: 'request.open'; readonly request: RequestInput }
  | { readonly type: 'request.cancel'; readonly requestId: RequestId; readonly because?: Failure }
  /** A worker appeared, changed or became available. May be sent often: waiting requests hear it 20 times a second. */
  | { readonly type: 'workers.changed' }
  /** Fails what is open with `QM_NODE_STOPPED` and ends. */
  | { readonly type: 'requester.stop' }

export type RequesterEmitted =
  | { readonly type: 'request.opened'; readonly requestId: RequestId; readonly open: number }
  | {
      readonly type: 'request.closed'
      readonly requestId: RequestId
      /** Null when it was answered. */
      readonly code: ErrorCode | null
      readonly open: number
    }

const requester = setup({
  types: {
    input: {} as RequesterInput,
    context: {} as RequesterContext,
    events: {} as RequesterCommand | RequestClosed,
    emitted: {} as RequesterEmitted,
  },
  actors: {
    shard: requestShardMachine,
    // Stopped with the requester, however that ends: the runtime's one fails whoever still waits for an answer.
    lifeline: fromCallback(() => {}),
  },
  actions: {
    open: enqueueActions(({ context, enqueue }, request: RequestInput) => {
      const shard = firstWithRoom(context.openByShard)
      const inShard = context.openByShard.get(shard)
      if (inShard === undefined) enqueue.spawnChild('shard', { id: toShardId(shard), input: { shard } })
      enqueue.assign({ openByShard: new Map(context.openByShard).set(shard, (inShard ?? 0) + 1) })
      enqueue.sendTo(toShardId(shard), { type: 'request.open', request })
      enqueue.emit({
        type: 'request.opened',
        requestId: request.requestId,
        open: countOpen(context) + 1,
      })
    }),
    refuse: ({ context }, { request, code }: { request: RequestInput; code: ErrorCode }) => {
      const message =
        code === 'QM_TOO_MANY_REQUESTS'
          ? `This node has ${countOpen(context)} requests open, as many as it may; wait for one to finish.`
          : undefined
      request.report({ type: 'request.failed', failure: { code, message }, attempts: [] })
    },
    tellShards: enqueueActions(({ context, enqueue }, command: RequestShardCommand) => {
      for (const shard of context.openByShard.keys()) enqueue.sendTo(toShardId(shard), command)
    }),
    close: enqueueActions(({ context, enqueue }, { shard, requestId, code }: RequestClosed) => {
      const openByShard = new Map(context.openByShard)
      const left = (openByShard.get(shard) ?? 1) - 1
      if (left > 0) openByShard.set(shard, left)
      else {
        openByShard.delete(shard)
        enqueue.stopChild(toShardId(shard))
      }
      enqueue.assign({ openByShard })
      enqueue.emit({ type: 'request.closed', requestId, code, open: countOpen(context) - 1 })
    }),
  },
  guards: {
    hasRoom: ({ context }) => countOpen(context) < context.requestsMax,
    isEmpty: ({ context }) => context.openByShard.size === 0,
  },
  delays: { announcePause: 50 },
})

const toShardId = (shard: number): string => `shard-${shard}`

const countOpen = ({ openByShard }: RequesterContext): number =>
  [...openByShard.values()].reduce((sum, open) => sum + open, 0)

/** The lowest number with room, so that shards empty from the top and are dropped. */
function firstWithRoom(openByShard: ReadonlyMap<number, number>): number {
  let shard = 0
  while ((openByShard.get(shard) ?? 0) >= requestsPerShardMax) shard++
  return shard
}

const open = {
  actions: { type: 'open', params: ({ event }: { event: { request: RequestInput } }) => event.request },
} as const

const announce = { type: 'tellShards', params: { type: 'workers.changed' } } as const

/** The client side of a node: every open request, at most a hundred under one parent. */
export const requesterMachine = requester.createMachine({
  id: 'requester',
  context: ({ input }) => ({
    requestsMax: Math.min(input.requestsMax, limits.requestsOpenMax),
    openByShard: new Map(),
  }),
  invoke: { src: 'lifeline', onError: {} },
  initial: 'open',
  on: {
    'request.closed': { actions: { type: 'close', params: ({ event }) => event } },
  },
  states: {
    open: {
      on: {
        'request.open': [
          { guard: 'hasRoom', ...open },
          {
            actions: {
              type: 'refuse',
              params: ({ event }) => ({ request: event.request, code: 'QM_TOO_MANY_REQUESTS' }),
            },
          },
        ],
        'request.cancel': { actions: { type: 'tellShards', params: ({ event }) => event } },
        'requester.stop': 'stopping',
      },
      initial: 'quiet',
      states: {
        quiet: { on: { 'workers.changed': { target: 'announced', actions: announce } } },
        /** Said a moment ago; another change waits for the pause to end. */
        announced: { on: { 'workers.changed': 'owing' }, after: { announcePause: 'quiet' } },
        owing: { after: { announcePause: { target: 'announced', actions: announce } } },
      },
    },
    stopping: {
      entry: { type: 'tellShards', params: { type: 'requester.stop' } },
      always: { guard: 'isEmpty', target: 'stopped' },
      on: {
        'request.open': {
          actions: {
            type: 'refuse',
            params: ({ event }) => ({ request: event.request, code: 'QM_NODE_STOPPED' }),
          },
        },
      },
    },
    stopped: { type: 'final' },
  },
})
