import { enqueueActions, sendParent, setup, type DoneActorEvent, type ErrorActorEvent } from 'xstate'
import { toQMeshError, type ErrorCode, type RequestId } from '../../protocol/index.ts'
import { stopOrphans } from '../stop-orphans.ts'
import type { Failure } from './attempts.ts'
import type { ReportPort } from './request-events.ts'
import { requestMachine, type RequestInput, type RequestOutput } from './request.machine.ts'

/** Requests under one parent: a thousand under one block the event loop for over a second when they stop. */
export const requestsPerShardMax = 100

export interface RequestShardInput {
  readonly shard: number
}

export interface RequestShardContext extends RequestShardInput {
  /** How to tell each open request's asker if its actor should break. */
  readonly open: ReadonlyMap<RequestId, ReportPort>
}

export type RequestShardCommand =
  | { readonly type: 'request.open'; readonly request: RequestInput }
  | { readonly type: 'request.cancel'; readonly requestId: RequestId; readonly because?: Failure }
  | { readonly type: 'requester.stop' }
  | { readonly type: 'workers.changed' }

/** What the requester hears for each request, once. */
export interface RequestClosed {
  readonly type: 'request.closed'
  readonly shard: number
  readonly requestId: RequestId
  /** Null when it was answered. */
  readonly code: ErrorCode | null
}

type RequestEnded = DoneActorEvent<RequestOutput> | ErrorActorEvent

export interface Ended {
  readonly actorId: string
  readonly code: ErrorCode | null
}

export interface CancelParams {
  readonly requestId: RequestId
  readonly because?: Failure
}

const shard = setup({
  types: {
    input: {} as RequestShardInput,
    context: {} as RequestShardContext,
    events: {} as RequestShardCommand | RequestEnded,
  },
  actors: { request: requestMachine },
  actions: {
    open: enqueueActions(({ context, enqueue }, input: RequestInput) => {
      enqueue.spawnChild('request', { id: input.requestId, input })
      enqueue.assign({ open: new Map(context.open).set(input.requestId, input.report) })
    }),
    cancel: enqueueActions(({ context, enqueue }, { requestId, because }: CancelParams) => {
      if (!context.open.has(requestId)) return
      enqueue.sendTo(requestId, { type: 'request.cancel', ...(because && { because }) })
    }),
    cancelAll: enqueueActions(({ context, enqueue }, because: Failure) => {
      for (const requestId of context.open.keys()) {
        enqueue.sendTo(requestId, { type: 'request.cancel', because })
      }
    }),
    announce: enqueueActions(({ context, enqueue }) => {
      for (const requestId of context.open.keys()) enqueue.sendTo(requestId, { type: 'workers.changed' })
    }),
    /** An actor that broke cannot speak for itself: without this its asker would wait for ever. */
    reportBroken: ({ context }, { actorId, error }: { actorId: string; error: unknown }) => {
      const { code, message } = toQMeshError(error)
      context.open.get(actorId)?.({ type: 'request.failed', failure: { code, message }, attempts: [] })
    },
    stopOrphans: ({ self }, actorId: string) => stopOrphans(self.getSnapshot().children[actorId]),
    forget: enqueueActions(({ context, enqueue }, { actorId, code }: Ended) => {
      const open = new Map(context.open)
      open.delete(actorId)
      enqueue.stopChild(actorId)
      enqueue.assign({ open })
      enqueue(
        sendParent({
          type: 'request.closed',
          shard: context.shard,
          requestId: actorId,
          code,
        } satisfies RequestClosed),
      )
    }),
  },
})

/** Up to `requestsPerShardMax` requests; the requester fills it. Done and broken children are forgotten at once. */
export const requestShardMachine = shard.createMachine({
  id: 'request-shard',
  context: ({ input }) => ({ ...input, open: new Map() }),
  on: {
    'request.open': { actions: { type: 'open', params: ({ event }) => event.request } },
    'request.cancel': { actions: { type: 'cancel', params: ({ event }) => event } },
    'requester.stop': { actions: { type: 'cancelAll', params: { code: 'QM_NODE_STOPPED' } } },
    'workers.changed': { actions: 'announce' },
    'xstate.done.actor.*': {
      actions: {
        type: 'forget',
        params: ({ event: { actorId, output } }) => ({ actorId, code: output.failure?.code ?? null }),
      },
    },
    'xstate.error.actor.*': {
      actions: [
        { type: 'stopOrphans', params: ({ event }) => event.actorId },
        { type: 'reportBroken', params: ({ event }) => event },
        {
          type: 'forget',
          params: ({ event }) => ({ actorId: event.actorId, code: toQMeshError(event.error).code }),
        },
      ],
    },
  },
})
