import { assign, emit, fromCallback, sendTo, setup } from 'xstate'
import { QMeshError, toQMeshError } from '../../protocol/index.ts'

export interface GatewayTimings {
  /** Milliseconds that opening the port may take. */
  readonly openMs: number
  /** Milliseconds that running answers have once the gateway stops; nothing new is taken meanwhile. */
  readonly drainMs: number
  /** Milliseconds that closing the port and its connections may take. */
  readonly closeMs: number
}

/** Together they stay below what the node gives a part to stop in. */
export const defaultGatewayTimings: GatewayTimings = { openMs: 5_000, drainMs: 4_000, closeMs: 1_000 }

export interface GatewayInput {
  /** What is left out is as in `defaultGatewayTimings`. */
  readonly timings?: Partial<GatewayTimings> | undefined
}

/** Where the gateway listens. */
export interface GatewayAddress {
  readonly host: string
  readonly port: number
}

export interface GatewayContext {
  readonly timings: GatewayTimings
  readonly address: GatewayAddress | undefined
  readonly error: QMeshError | undefined
}

export type GatewayCommand =
  /** Takes nothing new, lets what runs finish for a moment, closes and ends. */
  { readonly type: 'gateway.stop' }

/** What the server adapter reports. */
export type GatewayFact =
  | { readonly type: 'server.opened'; readonly address: GatewayAddress }
  | { readonly type: 'server.failed'; readonly error: QMeshError }
  /** Nothing is being answered any more; only said after `server.drain`. */
  | { readonly type: 'server.idle' }
  | { readonly type: 'server.closed' }

/** What the server adapter is told. */
export type GatewayOrder =
  /** Refuse what comes, and say when nothing is left. */
  | { readonly type: 'server.drain' }
  /** Close the port and every connection. */
  | { readonly type: 'server.close' }

export type GatewayEmitted =
  | { readonly type: 'gateway.listening'; readonly address: GatewayAddress }
  | { readonly type: 'gateway.failed'; readonly error: QMeshError }

/** Why the gateway ended: asked to (`error` absent), or because it could not listen. */
export interface GatewayOutput {
  readonly error: QMeshError | undefined
}

/** Every field has a default. */
const noInput: GatewayInput = {}

const gateway = setup({
  types: {
    input: noInput,
    context: {} as GatewayContext,
    events: {} as GatewayCommand | GatewayFact,
    emitted: {} as GatewayEmitted,
    output: {} as GatewayOutput,
  },
  actors: { server: fromCallback<GatewayOrder>(() => {}) },
  actions: {
    drain: sendTo('server', { type: 'server.drain' } satisfies GatewayOrder),
    close: sendTo('server', { type: 'server.close' } satisfies GatewayOrder),
    tellFailure: emit(({ context }) => ({
      type: 'gateway.failed' as const,
      error: context.error ?? new QMeshError('QM_INTERNAL'),
    })),
    noteLate: assign({
      error: ({ context }) =>
        new QMeshError(
          'QM_NETWORK_UNAVAILABLE',
          `the gateway's port did not open within ${context.timings.openMs} ms`,
        ),
    }),
    noteFailure: assign({ error: (_, params: { error: unknown }) => toQMeshError(params.error) }),
  },
  delays: {
    openDeadline: ({ context }) => context.timings.openMs,
    drainDeadline: ({ context }) => context.timings.drainMs,
    closeDeadline: ({ context }) => context.timings.closeMs,
  },
})

/**
 * The node's HTTP port: opening, listening, draining, closed. It does not try again by itself: the part that owns it
 * starts it anew with back-off, unless the reason is one that only the operator can mend, such as a taken port.
 */
export const gatewayMachine = gateway.createMachine({
  id: 'gateway',
  context: ({ input }) => ({
    timings: { ...defaultGatewayTimings, ...input.timings },
    address: undefined,
    error: undefined,
  }),
  invoke: {
    id: 'server',
    src: 'server',
    onError: {
      target: '.failed',
      actions: { type: 'noteFailure', params: ({ event }) => ({ error: event.error }) },
    },
  },
  on: {
    'server.failed': {
      target: '.failed',
      actions: { type: 'noteFailure', params: ({ event }) => ({ error: event.error }) },
    },
  },
  initial: 'starting',
  states: {
    starting: {
      on: {
        'server.opened': {
          target: 'listening',
          actions: assign({ address: ({ event }) => event.address }),
        },
        'gateway.stop': 'closing',
      },
      after: { openDeadline: { target: 'failed', actions: 'noteLate' } },
    },
    listening: {
      entry: emit(({ context: { address } }) => ({
        type: 'gateway.listening' as const,
        address: address ?? { host: '', port: 0 },
      })),
      on: { 'gateway.stop': 'draining' },
    },
    /** Whoever is being answered may hear the end of it; whoever comes now is told to come back later. */
    draining: {
      entry: 'drain',
      on: { 'server.idle': 'closing' },
      after: { drainDeadline: 'closing' },
    },
    closing: {
      entry: 'close',
      on: { 'server.closed': 'stopped', 'server.failed': 'stopped' },
      after: { closeDeadline: 'stopped' },
    },
    stopped: { type: 'final' },
    failed: { entry: 'tellFailure', type: 'final' },
  },
  output: ({ context }) => ({ error: context.error }),
})
