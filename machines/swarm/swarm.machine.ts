import { type ActorRef, assign, emit, fromCallback, sendTo, setup, type Snapshot, stopChild } from 'xstate'
import {
  type ErrorCode,
  type Hello,
  limits,
  type PeerId,
  QMeshError,
  toQMeshError,
} from '../../protocol/index.ts'
import { peerMachine, type PeerOutput, type PeerReport } from '../peer/peer.machine.ts'
import { defaultSwarmTimings, type SwarmTimings } from './swarm-timings.ts'

export interface SwarmInput {
  readonly peersMax?: number
  readonly violationsMax?: number
  readonly timings?: Partial<SwarmTimings>
}

export interface SwarmAddress {
  readonly host: string
  /** UDP port under which other nodes can reach this one. */
  readonly port: number
}

interface PeerEntry {
  readonly connectionId: string
  readonly peerId: PeerId
  /** Absent until the peer said hello. */
  readonly roles: readonly string[] | undefined
}

export interface SwarmContext {
  readonly peersMax: number
  readonly violationsMax: number
  readonly timings: SwarmTimings
  readonly peers: readonly PeerEntry[]
  readonly address: SwarmAddress | undefined
  /** Times in a row that looking for workers or for the network found nothing; sets the back-off. */
  readonly searches: number
  readonly probes: number
  readonly error: QMeshError | undefined
}

export type SwarmCommand =
  { readonly type: 'swarm.stop' } | { readonly type: 'swarm.ban'; readonly peerId: PeerId }

/** What the network adapter reports. */
export type NetworkFact =
  | { readonly type: 'network.opened'; readonly address: SwarmAddress }
  | { readonly type: 'network.failed'; readonly error: QMeshError }
  | {
      readonly type: 'network.connected'
      readonly connectionId: string
      readonly peerId: PeerId
      /** Violations remembered from earlier connections of this peer. */
      readonly violations: number
    }
  /** Answer to `network.probe`: how many nodes of the DHT answered. */
  | { readonly type: 'network.probed'; readonly nodes: number }
  | { readonly type: 'network.refreshed' }
  /** Nodes joined or left the DHT nearby: what was announced may be stored in the wrong place now. */
  | { readonly type: 'network.changed' }
  | { readonly type: 'network.closed' }

/** What the network adapter is told. */
export type NetworkCommand =
  | { readonly type: 'network.probe' }
  | { readonly type: 'network.refresh' }
  | { readonly type: 'network.reject'; readonly connectionId: string }
  | { readonly type: 'network.ban'; readonly peerId: PeerId }
  | { readonly type: 'network.forgot'; readonly output: PeerOutput }
  | { readonly type: 'network.close' }

export type SwarmEmitted =
  | { readonly type: 'peer.opened'; readonly peerId: PeerId; readonly hello: Hello }
  | {
      readonly type: 'peer.closed'
      readonly peerId: PeerId
      /** Whether `peer.opened` was emitted for this connection. */
      readonly wasOpen: boolean
      readonly code: ErrorCode | undefined
      readonly isBanned: boolean
    }
  | {
      readonly type: 'swarm.state'
      readonly state: 'online' | 'offline'
      /** Peers that said hello. */
      readonly peers: number
      readonly address: SwarmAddress | undefined
    }
  | { readonly type: 'swarm.failed'; readonly error: QMeshError }

/** Why the swarm ended: asked to (`error` absent) or because the network could not be opened. */
export interface SwarmOutput {
  readonly error: QMeshError | undefined
}

type PeerEnded =
  | { readonly type: `xstate.done.actor.${string}`; readonly output: PeerOutput }
  | { readonly type: `xstate.error.actor.${string}`; readonly error: unknown }

/** Every field has a default. */
const noInput: SwarmInput = {}

const swarm = setup({
  types: {
    input: noInput,
    context: {} as SwarmContext,
    events: {} as SwarmCommand | NetworkFact | PeerReport | PeerEnded,
    emitted: {} as SwarmEmitted,
    output: {} as SwarmOutput,
  },
  actors: { network: fromCallback<NetworkCommand>(() => {}), peer: peerMachine },
  actions: {
    probe: sendTo('network', { type: 'network.probe' }),
    refresh: sendTo('network', { type: 'network.refresh' }),
    close: sendTo('network', { type: 'network.close' }),
    reject: sendTo('network', (_, params: { connectionId: string }) => ({
      type: 'network.reject',
      connectionId: params.connectionId,
    })),
    ban: sendTo('network', (_, params: { peerId: PeerId }) => ({
      type: 'network.ban',
      peerId: params.peerId,
    })),
    emitState: emit(({ context }, params: { state: 'online' | 'offline' }) => ({
      type: 'swarm.state' as const,
      state: params.state,
      peers: openPeers(context).length,
      address: context.address,
    })),
    emitFailure: emit(({ context }) => ({
      type: 'swarm.failed' as const,
      error: context.error ?? new QMeshError('QM_INTERNAL'),
    })),
    setFailure: assign({ error: (_, params: { error: unknown }) => toQMeshError(params.error) }),
    countProbe: assign({ probes: ({ context }) => context.probes + 1 }),
    forgetProbes: assign({ probes: 0 }),
    countSearch: assign({ searches: ({ context }) => context.searches + 1 }),
    forgetSearches: assign({ searches: 0 }),
  },
  guards: {
    hasRoom: ({ context }) => context.peers.length < context.peersMax,
    isPeer: ({ context, event }) => findPeer(context, toActorId(event.type)) !== undefined,
    answers: (_, params: { nodes: number }) => params.nodes > 0,
    isCutOff: ({ context }, params: { nodes: number }) =>
      params.nodes === 0 && openPeers(context).length === 0,
  },
  delays: {
    probeOffline: ({ context: { probes, timings } }) =>
      backOff(timings.probeOfflineMs, timings.probeMsMax, probes),
    probeOnline: ({ context }) => context.timings.probeMsMax,
    search: ({ context: { timings, searches, ...context } }) => {
      const workers = openPeers(context).filter(({ roles }) => roles?.includes('worker')).length
      if (workers === 0) return backOff(timings.searchMs, timings.searchMsMax, searches)
      return workers < workersWanted ? timings.searchFewMs : timings.announceMs
    },
    settle: ({ context: { timings } }) => timings.settleMs,
    stopTimeout: ({ context }) => context.timings.stopTimeoutMs,
  },
})

/** With fewer workers at hand a client has no choice worth the name, and goes on looking. */
const workersWanted = 4

const backOff = (firstMs: number, maxMs: number, tries: number): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(tries, 30))

const openPeers = ({ peers }: Pick<SwarmContext, 'peers'>): readonly PeerEntry[] =>
  peers.filter(({ roles }) => roles)

const findPeer = ({ peers }: SwarmContext, connectionId: string): PeerEntry | undefined =>
  peers.find((entry) => entry.connectionId === connectionId)

/** `xstate.done.actor.<id>` and `xstate.error.actor.<id>`. */
const toActorId = (eventType: string): string => eventType.split('.').slice(3).join('.')

const admit = swarm.enqueueActions(({ context, event, enqueue, self }) => {
  if (event.type !== 'network.connected') return
  const { connectionId, peerId, violations } = event
  enqueue.assign({ peers: [...context.peers, { connectionId, peerId, roles: undefined }] })
  enqueue.spawnChild('peer', {
    id: connectionId,
    input: {
      connectionId,
      peerId,
      violations,
      violationsMax: context.violationsMax,
      helloTimeoutMs: context.timings.helloTimeoutMs,
      closeTimeoutMs: context.timings.closeTimeoutMs,
      parent: self as unknown as ActorRef<Snapshot<unknown>, PeerReport>,
    },
  })
})

/** A parent that spawns also forgets, or its children grow for ever. */
const forget = swarm.enqueueActions(({ context, event, enqueue }) => {
  const entry = findPeer(context, toActorId(event.type))
  if (!entry) return
  const { connectionId, peerId, roles } = entry
  // An actor that failed has no output: its connection is closed like any other's.
  const output: PeerOutput =
    'output' in event
      ? event.output
      : { connectionId, peerId, code: 'QM_INTERNAL', violations: 0, isBanned: false }
  enqueue(stopChild(connectionId))
  enqueue.assign({ peers: context.peers.filter((other) => other !== entry) })
  enqueue.sendTo('network', { type: 'network.forgot', output })
  enqueue.emit({
    type: 'peer.closed',
    peerId,
    wasOpen: roles !== undefined,
    code: output.code,
    isBanned: output.isBanned,
  })
})

const greet = swarm.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'peer.greeted') return
  const { connectionId, peerId, hello } = event
  enqueue.assign({
    peers: context.peers.map((entry) =>
      entry.connectionId === connectionId ? { ...entry, roles: hello.roles } : entry,
    ),
    searches: 0,
  })
  enqueue.emit({ type: 'peer.opened', peerId, hello })
})

const closePeers = swarm.enqueueActions(({ context, enqueue }) => {
  for (const { connectionId } of context.peers) enqueue.sendTo(connectionId, { type: 'peer.close' })
})

/**
 * The node's one place in the network. It owns the connected peers, knows honestly whether anybody can be reached, and
 * keeps looking: for the network while it is offline, and for workers while none is connected.
 */
export const swarmMachine = swarm.createMachine({
  id: 'swarm',
  context: ({ input }) => ({
    peersMax: input.peersMax ?? limits.peersMax,
    violationsMax: input.violationsMax ?? limits.violationsMax,
    timings: { ...defaultSwarmTimings, ...input.timings },
    peers: [],
    address: undefined,
    searches: 0,
    probes: 0,
    error: undefined,
  }),
  invoke: {
    id: 'network',
    src: 'network',
    onError: { target: '.failed', actions: assign({ error: ({ event }) => toQMeshError(event.error) }) },
  },
  on: {
    'network.failed': {
      target: '.failed',
      actions: { type: 'setFailure', params: ({ event }) => ({ error: event.error }) },
    },
    'network.closed': {
      target: '.failed',
      actions: {
        type: 'setFailure',
        params: { error: new QMeshError('QM_NETWORK_UNAVAILABLE', 'the network closed by itself') },
      },
    },
    'network.connected': {
      actions: { type: 'reject', params: ({ event }) => ({ connectionId: event.connectionId }) },
    },
    'xstate.done.actor.*': { guard: 'isPeer', actions: forget },
    'xstate.error.actor.*': { guard: 'isPeer', actions: forget },
  },
  initial: 'starting',
  states: {
    starting: {
      on: {
        'network.opened': {
          target: 'running',
          actions: assign({ address: ({ event }) => event.address }),
        },
        'swarm.stop': 'stopping',
      },
    },
    running: {
      type: 'parallel',
      on: {
        'network.connected': [
          { guard: 'hasRoom', actions: admit },
          { actions: { type: 'reject', params: ({ event }) => ({ connectionId: event.connectionId }) } },
        ],
        'swarm.ban': { actions: { type: 'ban', params: ({ event }) => ({ peerId: event.peerId }) } },
        'swarm.stop': 'stopping',
      },
      states: {
        reach: {
          initial: 'unknown',
          states: {
            /** Nobody has answered yet and nobody has failed to: neither state would be true. */
            unknown: {
              entry: 'probe',
              on: {
                'network.probed': [
                  {
                    guard: { type: 'answers', params: ({ event }) => ({ nodes: event.nodes }) },
                    target: 'online',
                  },
                  { target: 'offline' },
                ],
                'peer.greeted': { target: 'online', actions: greet },
              },
            },
            offline: {
              entry: [{ type: 'emitState', params: { state: 'offline' } }, 'forgetProbes'],
              initial: 'waiting',
              on: {
                'network.probed': [
                  {
                    guard: { type: 'answers', params: ({ event }) => ({ nodes: event.nodes }) },
                    target: 'online',
                    // Whoever waited for the network to come back wants to know at once who is there.
                    actions: 'refresh',
                  },
                  { target: '.waiting' },
                ],
                'peer.greeted': { target: 'online', actions: greet },
              },
              states: {
                probing: { entry: ['probe', 'countProbe'] },
                waiting: { after: { probeOffline: 'probing' } },
              },
            },
            online: {
              entry: { type: 'emitState', params: { state: 'online' } },
              on: {
                'network.probed': {
                  guard: { type: 'isCutOff', params: ({ event }) => ({ nodes: event.nodes }) },
                  target: 'offline',
                },
                'peer.greeted': { actions: greet },
              },
              initial: 'waiting',
              states: {
                waiting: { after: { probeOnline: { target: 'waiting', reenter: true, actions: 'probe' } } },
              },
            },
          },
        },
        search: {
          initial: 'waiting',
          states: {
            waiting: {
              after: { search: { target: 'searching', actions: 'countSearch' } },
              on: { 'network.changed': 'settling' },
            },
            /** Changes of the DHT come in bursts: one refresh is enough for all of them. */
            settling: { after: { settle: 'searching' } },
            searching: {
              entry: 'refresh',
              on: { 'network.refreshed': 'waiting' },
            },
          },
        },
      },
    },
    stopping: {
      entry: [closePeers, 'close'],
      on: { 'network.closed': 'stopped', 'network.failed': 'stopped' },
      after: { stopTimeout: 'stopped' },
    },
    stopped: { type: 'final' },
    failed: { entry: 'emitFailure', type: 'final' },
  },
  output: ({ context }) => ({ error: context.error }),
})
