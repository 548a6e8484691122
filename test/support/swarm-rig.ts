import { randomBytes } from 'node:crypto'
import DHT from 'hyperdht'
import { createActor } from 'xstate'
import { createSwarm, type NodeAddress, type Swarm, type SwarmSettings } from '../../actors/swarm/index.ts'
import type { ClientWire, Reception, WorkerWire } from '../../actors/peer/wire.ts'
import type { SwarmInput } from '../../machines/swarm/index.ts'
import type { ClientMessage, Hello, PeerId, Status, WorkerMessage } from '../../protocol/index.ts'

/** Everything a swarm said, in order. */
export type Fact =
  | { readonly type: 'peer.opened'; readonly peerId: PeerId; readonly hello: Hello }
  | {
      readonly type: 'peer.closed'
      readonly peerId: PeerId
      readonly code?: string | undefined
      readonly isBanned: boolean
    }
  | { readonly type: 'swarm.state'; readonly state: 'online' | 'offline' }
  | { readonly type: 'swarm.failed'; readonly error: Error }
  | { readonly type: 'client.said'; readonly peerId: PeerId; readonly message: ClientMessage }
  | { readonly type: 'worker.said'; readonly peerId: PeerId; readonly message: WorkerMessage }
  | { readonly type: 'worker.wire'; readonly wire: WorkerWire }
  | { readonly type: 'client.wire'; readonly wire: ClientWire }
  | { readonly type: 'worker.hello'; readonly peerId: PeerId; readonly hello: Hello }
  | { readonly type: 'worker.status'; readonly peerId: PeerId; readonly status: Status }
  | { readonly type: 'worker.gone'; readonly peerId: PeerId }
  | { readonly type: 'defect'; readonly error: unknown }

type FactOf<Type extends Fact['type']> = Extract<Fact, { type: Type }>

export interface SwarmRig {
  readonly id: PeerId
  readonly swarm: Swarm
  readonly facts: readonly Fact[]
  knownNodes: readonly NodeAddress[]
  send(event: { type: 'swarm.ban'; peerId: PeerId } | { type: 'network.changed' }): void
  /** The first fact that fits, now or later. */
  until<Type extends Fact['type']>(type: Type, fits?: (fact: FactOf<Type>) => boolean): Promise<FactOf<Type>>
  stop(): Promise<void>
}

/** A real swarm with desks that write down what they hear. */
export function startSwarm(
  settings: Partial<SwarmSettings> & Pick<SwarmSettings, 'roles' | 'bootstrap'>,
  {
    input = {},
    clientDesk = () => 'ok',
  }: { readonly input?: SwarmInput; readonly clientDesk?: (message: ClientMessage) => Reception } = {},
): SwarmRig {
  const facts: Fact[] = []
  const listeners = new Set<() => void>()
  const note = (fact: Fact): void => {
    facts.push(fact)
    for (const listener of listeners) listener()
  }
  const seed = settings.seed ?? randomBytes(32)
  const swarm = createSwarm({
    settings: { agent: 'test', mdns: false, reconnectMs: [200, 200, 200, 200], ...settings, seed },
    ports: {
      ...(settings.roles.includes('worker') && {
        clientDesk: {
          opened: (wire) => note({ type: 'client.wire', wire }),
          received: (wire, message) => {
            note({ type: 'client.said', peerId: wire.peerId, message })
            return clientDesk(message)
          },
          closed: () => {},
        },
      }),
      workerDesk: {
        received: (wire, message) => {
          note({ type: 'worker.said', peerId: wire.peerId, message })
          return 'ok'
        },
        closed: () => {},
      },
      onWorkerWire: (wire) => note({ type: 'worker.wire', wire }),
      onHello: (peerId, hello) => note({ type: 'worker.hello', peerId, hello }),
      onStatus: (peerId, status) => note({ type: 'worker.status', peerId, status }),
      onClosed: (peerId) => note({ type: 'worker.gone', peerId }),
      onDefect: (error) => note({ type: 'defect', error }),
    },
    onKnownNodes: (nodes) => {
      rig.knownNodes = nodes
    },
  })
  const actor = createActor(swarm.logic, { input })
  actor.on('*', note)
  const rig: SwarmRig = {
    id: DHT.keyPair(seed).publicKey.toString('hex'),
    swarm,
    facts,
    knownNodes: [],
    send: (event) => actor.send(event),
    until: (type, fits = () => true) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = facts.find(
            (fact): fact is FactOf<typeof type> => fact.type === type && fits(fact as never),
          )
          if (!found) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        look()
      }),
    stop: async () => {
      if (actor.getSnapshot().status === 'active') actor.send({ type: 'swarm.stop' })
      await new Promise<void>((resolve) => {
        actor.subscribe({ complete: resolve })
        if (actor.getSnapshot().status !== 'active') resolve()
      })
      await swarm.closed()
    },
  }
  actor.start()
  return rig
}
