import DHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import type { SwarmAddress } from '../../machines/swarm/swarm.machine.ts'
import {
  inferenceNetwork,
  limits,
  type ModelId,
  type PeerId,
  type QMeshError,
  toTopic,
} from '../../protocol/index.ts'
import type { AccessList } from './access-list.ts'
import { findBootstraps, type MdnsSession } from './mdns.ts'
import { defaultBootstrapPort } from './bootstrap.ts'
import { MeshDht } from './mesh-dht.ts'
import { toBindError } from './network-errors.ts'
import { type NodeAddress, type SwarmSettings, toBindHost } from './settings.ts'
import { UnreachablePeers } from './unreachable-peers.ts'

/** Taken when no port is asked for, if it is free. Not hyperdht's own: that is a bootstrap's, which may start here later. */
const firstNodePort = defaultBootstrapPort + 1

export interface NetworkEvents {
  opened(address: SwarmAddress): void
  /** The swarm under it is a new one: topics of other networks are to be joined again. */
  reopened(): void
  failed(error: QMeshError): void
  connected(stream: Hyperswarm.NoiseStream, peerId: PeerId): void
  /** Nodes of the DHT joined or left nearby. */
  changed(): void
  knownNodes(nodes: readonly NodeAddress[]): void
}

/** In a mesh smaller than this every change of the DHT may move a record; above, it hardly ever does. */
const smallMeshNodes = 20

/** Dials at a time. Hyperswarm's own default is 3, which three dead peers hold up for seconds. */
const dialsMax = 32

/** One DHT node and one Hyperswarm on it. Everything it opens is closed by `close`. */
export class MeshNetwork {
  readonly #settings: SwarmSettings
  readonly #access: AccessList
  readonly #events: NetworkEvents
  readonly #discoveries = new Map<ModelId | undefined, Hyperswarm.Discovery>()
  /** Of other networks than inference, by their hex. */
  readonly #topics = new Map<string, Hyperswarm.Discovery>()
  readonly #streams = new Map<PeerId, Hyperswarm.NoiseStream>()
  readonly #unreachable = new UnreachablePeers()
  #inbound = 0
  #dht: MeshDht | undefined
  #swarm: Hyperswarm | undefined
  #mdns: MdnsSession | undefined
  #models: readonly ModelId[] = []
  /** Bootstraps of the local network that were found and are needed, because nobody else answers. */
  #localNodes: readonly NodeAddress[] = []
  #isLocal = false
  #isClosed = false
  #closing: Promise<void> | undefined

  constructor(settings: SwarmSettings, access: AccessList, events: NetworkEvents) {
    this.#settings = settings
    this.#access = access
    this.#events = events
  }

  /** Never rejects: what goes wrong is `failed`. */
  async open(): Promise<void> {
    let host = this.#settings.host ?? '0.0.0.0'
    try {
      host = toBindHost(this.#settings)
      await this.#openOn(host, this.#settings)
      if (this.#isClosed) return
      if (this.#settings.mdns) this.#mdns = findBootstraps(host, (node) => this.#onLocal(node))
      this.#events.opened(this.address)
    } catch (error) {
      if (!this.#isClosed) this.#events.failed(toBindError(error, { host, port: this.#settings.port ?? 0 }))
    }
  }

  /** Where others reach this node. */
  get address(): SwarmAddress {
    const bound = this.#dht?.io.serverSocket?.address()
    return { host: toBindHost(this.#settings), port: bound?.port ?? this.#settings.port ?? 0 }
  }

  /**
   * Starts afresh from the bootstraps of the local network, on the same port: the queries of the old DHT node wait for
   * nodes that are dead. Open connections would be lost, so it is not done where there are any.
   */
  async #reopenLocally(): Promise<void> {
    if (this.#isClosed || this.#streams.size > 0) return
    this.#isLocal = true
    const { host, port } = this.address
    try {
      this.#discoveries.clear()
      this.#topics.clear()
      const swarm = this.#swarm
      await this.#dht?.destroy({ force: true })
      // Not by force: it would keep its timers for the next search. Nothing of it goes out any more.
      swarm?.destroy().catch(ignore)
      await this.#openOn(host, { ...this.#settings, port, bootstrap: this.#localNodes })
      this.setModels(this.#models)
      this.#events.reopened()
    } catch (error) {
      if (!this.#isClosed) this.#events.failed(toBindError(error, { host, port }))
    }
  }

  async #openOn(host: string, settings: SwarmSettings): Promise<void> {
    const dht = await openDht(settings, host, (peerId) => this.#unreachable.answered(peerId))
    this.#dht = dht
    if (this.#isClosed) {
      await dht.destroy({ force: true }).catch(ignore)
      return
    }
    const swarm = new Hyperswarm({
      dht,
      keyPair: DHT.keyPair(settings.seed),
      maxPeers: limits.peersMax,
      maxParallel: dialsMax,
      firewall: (publicKey, handshake) => !this.#admits(publicKey.toString('hex'), handshake === null),
      ...(settings.reconnectMs && { backoffs: settings.reconnectMs, jitter: 0 }),
    })
    this.#swarm = swarm
    swarm.on('connection', (stream) => this.#onConnection(stream))
    // Hyperswarm would remember for ever whom it did not admit; our own lists are the judge and are bounded.
    swarm.on('ban', (info) => {
      info.ban(false)
      swarm.peers.delete(info.publicKey.toString('hex'))
    })
    this.#watchNodes(dht)
    this.#join(undefined)
    for (const modelId of settings.wantedModels ?? []) this.#join(modelId)
  }

  /** Announces the node under these models' topics, and no longer under others. */
  setModels(modelIds: readonly ModelId[]): void {
    this.#models = modelIds
    if (!this.#swarm || !this.#isServer) return
    const kept = new Set<ModelId | undefined>([
      undefined,
      ...modelIds,
      ...(this.#settings.wantedModels ?? []),
    ])
    for (const [modelId, discovery] of this.#discoveries) {
      if (kept.has(modelId)) continue
      this.#discoveries.delete(modelId)
      discovery.destroy().catch(ignore)
    }
    for (const modelId of kept) this.#join(modelId)
  }

  /**
   * How many DHT nodes answer: stops at the first, so it is 0 or 1. When none does and a bootstrap of the local network
   * was found, the node starts afresh from that one.
   */
  async probe(): Promise<number> {
    const answers = await this.#countAnswers()
    if (answers > 0 || this.#localNodes.length === 0 || this.#isLocal) return answers
    await this.#reopenLocally()
    return this.#countAnswers()
  }

  async #countAnswers(): Promise<number> {
    const dht = this.#dht
    if (!dht || dht.destroyed) return 0
    const query = dht.findNode(dht.table.id)
    let answers = 0
    query.on('data', () => {
      answers = 1
      query.destroy()
    })
    await query.finished().catch(ignore)
    return answers
  }

  /** Announces and looks up once more. Never rejects. */
  async refresh(): Promise<void> {
    const discoveries = [...this.#discoveries.values(), ...this.#topics.values()]
    await Promise.allSettled(discoveries.map((discovery) => discovery.refresh()))
    this.#reportNodes()
  }

  /** Closes the peer's open connection as well: a ban alone would leave it open. */
  cut(peerId: PeerId): void {
    this.#streams.get(peerId)?.destroy()
  }

  /** Resolves when every socket is closed; `force` does not wait to say goodbye to the DHT. */
  close(options: { readonly force: boolean }): Promise<void> {
    this.#isClosed = true
    if (options.force) this.#dht?.destroy({ force: true }).catch(ignore)
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#reportNodes()
    await this.#mdns?.stop().catch(ignore)
    await this.#swarm?.destroy().catch(ignore)
    await this.#dht?.destroy().catch(ignore)
  }

  get #isServer(): boolean {
    return this.#settings.roles.includes('worker')
  }

  /**
   * Looks for peers under a topic of another network until `leaveTopic`.
   *
   * @param isFound whether others find this node there, too
   */
  joinTopic(topic: Buffer, isFound: boolean): void {
    const name = topic.toString('hex')
    if (this.#swarm && !this.#topics.has(name))
      this.#topics.set(name, this.#swarm.join(topic, { client: true, server: isFound }))
  }

  leaveTopic(topic: Buffer): void {
    const name = topic.toString('hex')
    this.#topics.get(name)?.destroy().catch(ignore)
    this.#topics.delete(name)
  }

  #join(modelId: ModelId | undefined): void {
    if (!this.#swarm || this.#discoveries.has(modelId)) return
    const topic = toTopic({ network: inferenceNetwork, secret: this.#settings.secret, modelId })
    this.#discoveries.set(modelId, this.#swarm.join(topic, { client: true, server: this.#isServer }))
  }

  #admits(peerId: PeerId, isDial: boolean): boolean {
    if (!this.#access.allows(peerId)) return false
    if (isDial) return this.#unreachable.mayDial(peerId, performance.now())
    this.#dht?.giveWay(peerId)
    return true
  }

  #onConnection(stream: Hyperswarm.NoiseStream): void {
    // Reported by 'close', which always follows.
    stream.on('error', ignore)
    const peerId = stream.remotePublicKey.toString('hex')
    this.#unreachable.reached(peerId, performance.now())
    const isInbound = !stream.isInitiator
    if (
      this.#isClosed ||
      !this.#access.allows(peerId) ||
      (isInbound && this.#inbound >= limits.inboundPeersMax)
    ) {
      stream.destroy()
      return
    }
    if (isInbound) this.#inbound++
    this.#streams.set(peerId, stream)
    stream.once('close', () => {
      if (isInbound) this.#inbound--
      if (this.#streams.get(peerId) === stream) this.#streams.delete(peerId)
    })
    this.#events.connected(stream, peerId)
  }

  #watchNodes(dht: DHT): void {
    const onChange = (): void => {
      if (!this.#isClosed && dht.nodes.length < smallMeshNodes) this.#events.changed()
    }
    dht.on('add-node', onChange)
    dht.on('remove-node', onChange)
  }

  #onLocal(node: NodeAddress): void {
    if (this.#isClosed || this.#localNodes.length >= limits.knownNodesMax) return
    if (this.#localNodes.some(({ host, port }) => host === node.host && port === node.port)) return
    this.#localNodes = [...this.#localNodes, node]
  }

  #reportNodes(): void {
    const nodes = this.#dht?.toArray({ limit: limits.knownNodesMax }) ?? []
    if (nodes.length > 0) this.#events.knownNodes(nodes)
  }
}

/** Opens the UDP sockets. A port that was asked for is taken exactly or not at all. */
async function openDht(
  settings: SwarmSettings,
  host: string,
  onRefused: (peerId: PeerId) => void,
): Promise<MeshDht> {
  const { bootstrap, port, knownNodes, roles } = settings
  const isOwnMesh = bootstrap !== undefined
  const options = {
    host,
    ...(bootstrap && { bootstrap }),
    ...(knownNodes && { nodes: knownNodes.slice(0, limits.knownNodesMax) }),
    ...(port ? { port, anyPort: false } : { port: firstNodePort }),
    // In a mesh of its own the workers keep the DHT alive when its bootstrap dies.
    ...(isOwnMesh && roles.includes('worker') && { ephemeral: false }),
    ...(host.startsWith('127.') && { firewalled: false }),
  }
  const dht = new MeshDht(options, { isSmall: isOwnMesh, onRefused })
  try {
    await new Promise<void>((resolve, reject) => {
      dht.once('listening', resolve)
      dht.fullyBootstrapped().then(resolve, reject)
    })
    return dht
  } catch (error) {
    // Destroying waits for a bind that will never come, but has stopped everything else by then, except this.
    dht.destroy().catch(ignore)
    dht.io.networkInterfaces.destroy()
    throw error
  }
}

const ignore = (): void => {}
