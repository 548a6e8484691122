import { fromCallback } from 'xstate'
import { type ChannelCommand, type ChannelInput, peerMachine } from '../../machines/peer/index.ts'
import { type NetworkCommand, type SwarmAddress, swarmMachine } from '../../machines/swarm/index.ts'
import type { PeerId, Status } from '../../protocol/index.ts'
import type { NoiseStream } from 'hyperswarm'
import { PeerLink } from '../peer/peer-link.ts'
import type { PeerPorts } from '../peer/peer-ports.ts'
import { AccessList } from './access-list.ts'
import { MeshNetwork } from './mesh-network.ts'
import type { Advertisement, NodeAddress, SwarmSettings } from './settings.ts'

export interface SwarmOptions {
  readonly settings: SwarmSettings
  readonly ports: PeerPorts
  /** Called after each search with the DHT nodes that answered last: keep them for the next start. */
  readonly onKnownNodes?: (nodes: readonly NodeAddress[]) => void
  /** Milliseconds of a steady clock. */
  readonly now?: () => number
}

/** The swarm as a node uses it. */
export interface Swarm {
  /** To be started under the system id `swarm` with a `SwarmInput`; may be started again after it ended. */
  readonly logic: typeof swarmMachine
  /** What peers are told from now on: connected ones by the next `status`, later ones by `hello` as well. */
  setAdvertisement(advertisement: Advertisement): void
  /** Sends to every open peer, and to those that come later. While a peer is slow only the newest waits for it. */
  broadcastStatus(status: Status): void
  /** Closes the peer's connection and lets it in no more during this run of the node. */
  ban(peerId: PeerId): void
  /** A peer broke the rules of another network on its connection: it counts as if it were of this one. */
  countViolation(peerId: PeerId): void
  /**
   * Looks for peers under a topic of another network, and is found under it unless it only looks, whenever the network is
   * open. Twice the same is joined once. The result leaves.
   */
  joinTopic(topic: Buffer, options?: { readonly isFound?: boolean }): () => void
  /** Where other nodes reach this one, while it is open. */
  address(): SwarmAddress | undefined
  /** Resolves when every socket that was ever opened is closed. */
  closed(): Promise<void>
}

interface Connection {
  readonly stream: NoiseStream
  readonly peerId: PeerId
}

/** Wires the swarm machine, its peers and the network. Nothing is opened before `logic` is started. */
export function createSwarm({
  settings,
  ports,
  onKnownNodes = () => {},
  now = () => performance.now(),
}: SwarmOptions): Swarm {
  const access = new AccessList(settings)
  const connections = new Map<string, Connection>()
  const links = new Set<PeerLink>()
  const closings = new Set<Promise<void>>()
  let advertisement: Advertisement = { models: [] }
  let status: Status | undefined
  let address: SwarmAddress | undefined
  let network: MeshNetwork | undefined
  let connectionCount = 0

  const topics = new Map<string, { readonly topic: Buffer; readonly isFound: boolean }>()
  const joinTopics = (): void => {
    for (const { topic, isFound } of topics.values()) network?.joinTopic(topic, isFound)
  }

  const announceModels = (): void => network?.setModels(advertisement.models.map(({ id }) => id))

  const networkAdapter = fromCallback<NetworkCommand>(({ sendBack, receive }) => {
    let isOver = false
    const send: typeof sendBack = (event) => {
      if (!isOver) sendBack(event)
    }
    const mesh = new MeshNetwork(settings, access, {
      opened: (opened) => {
        address = opened
        announceModels()
        joinTopics()
        send({ type: 'network.opened', address: opened })
      },
      reopened: joinTopics,
      failed: (error) => send({ type: 'network.failed', error }),
      connected: (stream, peerId) => {
        const connectionId = `peer-${++connectionCount}`
        connections.set(connectionId, { stream, peerId })
        stream.once('close', () => connections.delete(connectionId))
        send({ type: 'network.connected', connectionId, peerId, violations: access.violations(peerId) })
      },
      changed: () => send({ type: 'network.changed' }),
      knownNodes: onKnownNodes,
    })
    network = mesh
    // After a crash the old sockets may still be closing, and the port is theirs until they have.
    void Promise.all(closings).then(() => (isOver ? undefined : mesh.open()))

    const close = (options: { force: boolean }): Promise<void> => {
      const closing = mesh.close(options)
      closings.add(closing)
      void closing.then(() => {
        closings.delete(closing)
        if (network === mesh) {
          network = undefined
          address = undefined
        }
      })
      return closing
    }
    receive((command) => {
      switch (command.type) {
        case 'network.probe':
          void mesh.probe().then((nodes) => send({ type: 'network.probed', nodes }))
          return
        case 'network.refresh':
          void mesh.refresh().then(() => send({ type: 'network.refreshed' }))
          return
        case 'network.reject':
          connections.get(command.connectionId)?.stream.destroy()
          return
        case 'network.ban':
          access.ban(command.peerId)
          mesh.cut(command.peerId)
          return
        case 'network.forgot':
          connections.delete(command.output.connectionId)
          if (command.output.isBanned) access.ban(command.output.peerId)
          else access.remember(command.output.peerId, command.output.violations)
          return
        case 'network.close':
          void close({ force: false }).then(() => send({ type: 'network.closed' }))
      }
    })
    return () => {
      isOver = true
      void close({ force: true })
    }
  })

  const channelAdapter = fromCallback<ChannelCommand, ChannelInput>(({ input, sendBack, receive }) => {
    const connection = connections.get(input.connectionId)
    if (!connection || connection.stream.destroying) {
      sendBack({ type: 'channel.closed' })
      return undefined
    }
    let isOver = false
    const link = new PeerLink(
      {
        ...connection,
        hello: {
          agent: settings.agent,
          roles: [...settings.roles],
          models: [...advertisement.models],
          capabilities: [...(advertisement.capabilities ?? [])],
        },
        status: () => status,
        secret: settings.secret,
        ports,
        now,
      },
      {
        greeted: (hello) => sendBack({ type: 'channel.greeted', hello }),
        violated: (code) => sendBack({ type: 'channel.violated', code }),
        broken: (code) => sendBack({ type: 'channel.broken', code }),
        closed: () => {
          links.delete(link)
          if (!isOver) sendBack({ type: 'channel.closed' })
        },
      },
    )
    links.add(link)
    receive((command) => {
      if (command.type === 'channel.close') link.close(command.code)
      else link.destroy()
    })
    return () => {
      isOver = true
      link.destroy()
    }
  })

  return {
    logic: swarmMachine.provide({
      actors: {
        network: networkAdapter,
        peer: peerMachine.provide({ actors: { channel: channelAdapter } }),
      },
    }),
    setAdvertisement: (next) => {
      advertisement = next
      announceModels()
    },
    broadcastStatus: (next) => {
      status = next
      for (const link of links) link.sendStatus(next)
    },
    ban: (peerId) => {
      access.ban(peerId)
      network?.cut(peerId)
    },
    countViolation: (peerId) => {
      for (const link of links) if (link.peerId === peerId) link.countViolation()
    },
    joinTopic: (topic, { isFound = true } = {}) => {
      const name = topic.toString('hex')
      const before = topics.get(name)
      const joined = { topic, isFound: isFound || before?.isFound === true }
      topics.set(name, joined)
      if (before && !before.isFound && isFound) network?.leaveTopic(topic)
      network?.joinTopic(topic, joined.isFound)
      return () => {
        if (topics.get(name) !== joined) return
        topics.delete(name)
        network?.leaveTopic(topic)
      }
    },
    address: () => address,
    closed: async () => {
      while (closings.size > 0) await Promise.all(closings)
    },
  }
}
