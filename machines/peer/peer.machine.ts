import { type ActorRef, assign, type EventObject, fromCallback, sendTo, setup, type Snapshot } from 'xstate'
import type { ErrorCode, Hello, PeerId } from '../../protocol/index.ts'

export interface PeerInput {
  /** Which of the swarm's open connections this is; a peer that reconnects gets a new one. */
  readonly connectionId: string
  readonly peerId: PeerId
  /** Violations this peer is already known for: reconnecting does not wash them off. */
  readonly violations: number
  readonly violationsMax: number
  /** Milliseconds the peer has to say `hello`. */
  readonly helloTimeoutMs: number
  /** Milliseconds a closing connection has to flush its last words before it is cut. */
  readonly closeTimeoutMs: number
  /** Who hears `peer.greeted`: the swarm. */
  readonly parent: ActorRef<Snapshot<unknown>, PeerReport>
}

export interface PeerContext {
  readonly input: PeerInput
  readonly violations: number
  /** Why the connection is being closed, if for a reason. */
  readonly code: ErrorCode | undefined
}

export type PeerCommand =
  /** Close politely; `code` is told to the peer. */
  { readonly type: 'peer.close'; readonly code?: ErrorCode }

/** What the channel adapter says about the connection. Tokens and prompts never come this way. */
export type ChannelFact =
  | { readonly type: 'channel.greeted'; readonly hello: Hello }
  /** One malformed or unexpected message. */
  | { readonly type: 'channel.violated'; readonly code: ErrorCode }
  /** Something after which the bytes that follow mean nothing. */
  | { readonly type: 'channel.broken'; readonly code: ErrorCode }
  | { readonly type: 'channel.closed' }

/** What the channel adapter is told. */
export type ChannelCommand =
  /** Say why, flush, and end the connection. */
  | { readonly type: 'channel.close'; readonly code: ErrorCode | undefined }
  /** Cut the connection now. */
  | { readonly type: 'channel.destroy' }

/** What the swarm hears from its peers while they live. */
export interface PeerReport extends EventObject {
  readonly type: 'peer.greeted'
  readonly connectionId: string
  readonly peerId: PeerId
  readonly hello: Hello
}

export interface PeerOutput {
  readonly connectionId: string
  readonly peerId: PeerId
  readonly code: ErrorCode | undefined
  readonly violations: number
  /** The peer is not to be let in again during this run of the node. */
  readonly isBanned: boolean
}

export interface ChannelInput {
  readonly connectionId: string
  readonly peerId: PeerId
}

const peer = setup({
  types: {
    input: {} as PeerInput,
    context: {} as PeerContext,
    events: {} as PeerCommand | ChannelFact,
    output: {} as PeerOutput,
  },
  actors: { channel: fromCallback<ChannelCommand, ChannelInput>(() => {}) },
  actions: {
    closeChannel: sendTo('channel', ({ context }) => ({ type: 'channel.close', code: context.code })),
    destroyChannel: sendTo('channel', { type: 'channel.destroy' }),
    reportHello: sendTo(
      ({ context }) => context.input.parent,
      ({ context: { input } }, params: { hello: Hello }) => ({
        type: 'peer.greeted',
        connectionId: input.connectionId,
        peerId: input.peerId,
        hello: params.hello,
      }),
    ),
    setCode: assign({ code: (_, params: { code: ErrorCode | undefined }) => params.code }),
    countViolation: assign({ violations: ({ context }) => context.violations + 1 }),
  },
  guards: {
    hasRunOut: ({ context }) => context.violations >= context.input.violationsMax,
  },
  delays: {
    helloTimeout: ({ context }) => context.input.helloTimeoutMs,
    closeTimeout: ({ context }) => context.input.closeTimeoutMs,
  },
})

/**
 * The life of one connection: the peer greets or is sent away, misbehaves at most `violationsMax` times, and is closed
 * politely once, then by force. It ends by itself; the swarm forgets it then.
 */
export const peerMachine = peer.createMachine({
  id: 'peer',
  context: ({ input }) => ({ input, violations: input.violations, code: undefined }),
  invoke: {
    id: 'channel',
    src: 'channel',
    input: ({ context: { input } }) => ({ connectionId: input.connectionId, peerId: input.peerId }),
    onError: { target: '.closed', actions: assign({ code: () => 'QM_INTERNAL' as const }) },
  },
  on: { 'channel.closed': '.closed' },
  initial: 'connected',
  states: {
    connected: {
      initial: 'greeting',
      always: {
        guard: 'hasRunOut',
        target: 'closing',
        actions: { type: 'setCode', params: { code: 'QM_TOO_MANY_VIOLATIONS' } },
      },
      on: {
        'channel.violated': { actions: 'countViolation' },
        'channel.broken': {
          target: 'closing',
          actions: { type: 'setCode', params: ({ event }) => ({ code: event.code }) },
        },
        'peer.close': {
          target: 'closing',
          actions: { type: 'setCode', params: ({ event }) => ({ code: event.code }) },
        },
      },
      states: {
        greeting: {
          on: {
            'channel.greeted': {
              target: 'open',
              actions: { type: 'reportHello', params: ({ event }) => ({ hello: event.hello }) },
            },
          },
          after: {
            helloTimeout: {
              target: '#peer.closing',
              actions: { type: 'setCode', params: { code: 'QM_HELLO_TIMEOUT' } },
            },
          },
        },
        open: {},
      },
    },
    closing: {
      entry: 'closeChannel',
      after: { closeTimeout: { target: 'closed', actions: 'destroyChannel' } },
    },
    closed: { type: 'final' },
  },
  output: ({ context: { input, code, violations } }) => ({
    connectionId: input.connectionId,
    peerId: input.peerId,
    code,
    violations,
    isBanned: code === 'QM_TOO_MANY_VIOLATIONS' || code === 'QM_FRAME_TOO_LONG',
  }),
})
