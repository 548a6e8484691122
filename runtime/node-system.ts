import { EventEmitter } from 'node:events'
import { type Actor, type AnyActorRef, createActor } from 'xstate'
import type { ModelSpec } from '../actors/inference/engine.port.ts'
import { connectLocally, type LocalWires } from '../actors/peer/local-wire.ts'
import type { AskDefaults } from '../actors/request/asker.ts'
import { createSwarm, type NodeAddress, type SwarmSettings } from '../actors/swarm/index.ts'
import type { DutyCommand, DutyEmitted } from '../machines/duty/index.ts'
import type { HealthSamplerCommand, HealthSamplerEmitted } from '../machines/health/index.ts'
import type { GatewayCommand } from '../machines/gateway/index.ts'
import type { InferenceCommand, InferenceEmitted, LateModel } from '../machines/inference/index.ts'
import { modelIdOfSlot } from '../machines/inference/model-types.ts'
import { nodeMachine } from '../machines/node/node.machine.ts'
import type { SubsystemName } from '../machines/node/subsystem.machine.ts'
import type { RequesterCommand } from '../machines/request/index.ts'
import {
  newcomersOnly,
  type PrecedencePort,
  type SchedulerCommand,
  type SchedulerEmitted,
} from '../machines/scheduling/index.ts'
import type { GossiperCommand, GossiperEmitted } from '../machines/trust/gossiper.machine.ts'
import type { SwarmCommand, SwarmEmitted } from '../machines/swarm/index.ts'
import { isEffortExempt } from '../machines/trust/index.ts'
import {
  errorCatalogue,
  inferenceNetwork,
  type ModelHash,
  type ModelId,
  type PeerId,
  QMeshError,
  toTopic,
} from '../protocol/index.ts'
import { createClientSide, type ClientSide } from './client-side.ts'
import type { Logger } from './logger.ts'
import { HashTopics } from './hash-topics.ts'
import { InferenceLog } from './inference-log.ts'
import type { NodeEvents } from './node-api.ts'
import { createParts, type PartsOptions } from './node-parts.ts'
import type { PartStatus } from './node-status.ts'
import { toPartStatuses } from './part-status.ts'
import type { ModelsSide } from './models/models-side.ts'
import { StatusPublisher } from './status-publisher.ts'
import type { Tracing } from './tracing/open-tracing.ts'
import { WorkerSide } from './worker-side.ts'

export interface NodeSystemOptions extends PartsOptions {
  readonly selfId: PeerId
  readonly swarmSettings: SwarmSettings
  /** Whether it answers: with these models, or with others that may come. Default: whether there are any. */
  readonly isWorker?: boolean | undefined
  readonly logger: Logger
  readonly onKnownNodes: (nodes: readonly NodeAddress[]) => void
  readonly askDefaults?: Partial<AskDefaults> | undefined
  /** Instead of what `trust` says. */
  readonly precedence?: PrecedencePort | undefined
  /** Models that are here and that come; absent: only those that are served from where they lie. */
  readonly modelsSide?: ModelsSide | undefined
  /** Records requests across machines; absent: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'requests' | 'serves'> | undefined
}

interface Commands {
  readonly duty: DutyCommand
  readonly gateway: GatewayCommand
  readonly 'health-sampler': HealthSamplerCommand
  readonly inference: InferenceCommand
  readonly requester: RequesterCommand
  readonly scheduler: SchedulerCommand
  readonly 'score-gossiper': GossiperCommand
  readonly swarm: SwarmCommand
}

/**
 * All actors of one node, wired. What one part emits the next is told here, and nowhere else: the parts do not know
 * each other.
 */
export class NodeSystem {
  readonly events = new EventEmitter<NodeEvents>()
  readonly client: ClientSide
  readonly worker: WorkerSide
  readonly #options: NodeSystemOptions
  readonly #refs = new Map<SubsystemName, AnyActorRef>()
  readonly #swarm: ReturnType<typeof createSwarm>
  readonly #hashTopics: HashTopics
  readonly #publisher: StatusPublisher
  readonly #localWires: LocalWires
  readonly #inferenceLog: InferenceLog
  /** None before the start: to make the actors is to give them their input, which the program's own use at once. */
  #node: Actor<typeof nodeMachine> | undefined
  /** Models that came after the start. */
  readonly #late = new Map<ModelId, LateModel>()
  #network: { state: 'starting' | 'online' | 'offline'; peers: number } = { state: 'starting', peers: 0 }
  #stopping: Promise<void> | undefined

  constructor(options: NodeSystemOptions) {
    const { selfId, config, models, logger, trust, modelsSide } = options
    const now = (): number => performance.now()
    const network = toTopic({ network: inferenceNetwork, secret: config.secret })
    this.#options = options
    this.#inferenceLog = new InferenceLog(logger)
    this.worker = new WorkerSide({
      selfId,
      now,
      network,
      queueCapacity: config.queueCapacity,
      pauseWhenBusy: config.pauseWhenBusy,
      precedence: options.precedence ?? trust?.ledger ?? newcomersOnly,
      isPrecedenceEarned: options.precedence === undefined,
      earnings: trust?.earnings,
      tracer: options.tracing?.serves,
      onDefect: (error) => logger.error({ err: error }, 'a defect in the books: answers are not paid'),
      scheduler: () => this.#to('scheduler'),
      inference: () => this.#to('inference'),
      onAssigned: (tier, queuedMs) => options.gateway?.meter.served(tier, queuedMs),
      onChanged: () => this.#publisher.changed(),
      onUrgent: () => this.#publisher.flush(),
    })
    this.client = createClientSide({
      selfId,
      now,
      logger,
      requester: () => this.#to('requester'),
      isOnline: () => this.#network.state === 'online',
      onWorkers: () => this.events.emit('workers'),
      defaults: options.askDefaults,
      deals: trust?.deals,
      network,
      tracer: options.tracing?.requests,
      // Only who promises something there is served by what it earned.
      isEffortExempt: (workerId) =>
        trust !== undefined &&
        trust.gossip.isPeer(workerId) &&
        isEffortExempt(trust.ledger.precedenceOf(selfId).tier),
    })
    const { isWorker = models.length > 0 } = options
    const isServing = config.serve && isWorker
    this.#swarm = createSwarm({
      settings: options.swarmSettings,
      onKnownNodes: options.onKnownNodes,
      ports: {
        clientDesk: isServing ? this.worker.intake : undefined,
        workerDesk: this.client.dispatcher,
        onGreeted: (peerId, stream, hello) => {
          trust?.gossip.opened(peerId, stream, hello)
          modelsSide?.transfer.connect(peerId, stream, hello)
        },
        onWorkerWire: (wire) => this.client.dispatcher.opened(wire),
        onHello: (peerId, hello) => this.client.hello(peerId, hello),
        onStatus: (peerId, status) => this.client.status(peerId, status),
        onClosed: (peerId) => this.client.closed(peerId),
        onDefect: (error) => logger.error({ err: error }, 'a defect while handling a message'),
      },
    })
    this.#hashTopics = new HashTopics({
      secret: config.secret,
      join: (topic, how) => this.#swarm.joinTopic(topic, how),
    })
    const capabilities = [
      ...(trust ? [trust.gossip.capability] : []),
      ...(modelsSide ? [modelsSide.transfer.capability] : []),
    ]
    this.#swarm.setAdvertisement({ models: [], capabilities })
    if (trust) {
      trust.onGrown = (length) => this.#to('score-gossiper')?.send({ type: 'log.grew', length })
      trust.onCard = () => this.#to('score-gossiper')?.send({ type: 'card.changed' })
    }
    this.#publisher = new StatusPublisher(() => {
      if (!isWorker) return
      this.client.local(this.worker.localStatus())
      if (!isServing) return
      const status = this.worker.status()
      this.#swarm.setAdvertisement({ models: status.models, capabilities: ['json-schema', ...capabilities] })
      this.#swarm.broadcastStatus(status)
      this.#hashTopics.announce(status.models.map(({ hash }) => hash))
    })
    this.#localWires = connectLocally(selfId, {
      clientDesk: this.worker.intake,
      workerDesk: this.client.dispatcher,
    })
    this.client.dispatcher.opened(this.#localWires.worker)
    for (const { id, path } of models) this.worker.expect(id, path)
  }

  get network() {
    return this.#network
  }

  get address() {
    return this.#swarm.address()
  }

  /** None before the start. */
  get parts(): PartStatus[] {
    return this.#node ? toPartStatuses(this.#node.getSnapshot(), performance.now()) : []
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined
  }

  /** The root of the node's actors, for whoever watches them. @throws QMeshError `QM_NODE_STOPPED` before the start */
  get actor(): AnyActorRef {
    return this.#started()
  }

  /** @throws QMeshError `QM_NODE_STOPPED` after `stop` */
  start(): void {
    if (this.#stopping) throw new QMeshError('QM_NODE_STOPPED')
    this.#node = this.#createNode(() => performance.now())
    this.#node.start()
  }

  /**
   * Resolves when the node's place in the network is open, whether or not anybody can be reached.
   *
   * @throws QMeshError `QM_PORT_TAKEN`, `QM_NETWORK_UNAVAILABLE`
   */
  async opened(): Promise<void> {
    if (this.#swarm.address()) return
    const node = this.#started()
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        for (const subscription of [opened, restarting, degraded, ended]) subscription.unsubscribe()
      }
      const fail = ({ name, error }: { readonly name: SubsystemName; readonly error: QMeshError }): void => {
        if (name !== 'swarm') return
        settle()
        reject(error)
      }
      const restarting = node.on('node.restarting', fail)
      const degraded = node.on('node.degraded', fail)
      const swarm = this.#refs.get('swarm')
      const opened: { unsubscribe(): void } = swarm
        ? swarm.subscribe(() => {
            if (!this.#swarm.address()) return
            settle()
            resolve()
          })
        : { unsubscribe: () => {} }
      // Whoever stops it while it starts must not wait for ever.
      const ended = node.subscribe({
        complete: () => {
          settle()
          reject(new QMeshError('QM_NODE_STOPPED'))
        },
      })
    })
  }

  /**
   * Pauses or resumes serving others, at the owner's wish.
   *
   * @throws QMeshError `QM_ACTOR_GAVE_UP` while the part that decides it is down
   */
  setDrained(isDrained: boolean): void {
    const duty = this.#to('duty')
    if (!duty) throw new QMeshError('QM_ACTOR_GAVE_UP', 'the part that pauses this node is not running now')
    duty.send({ type: isDrained ? 'duty.drain' : 'duty.resume' })
  }

  /** One more message that no honest peer sends, on a network beside the inference network. */
  countViolation(peerId: PeerId): void {
    this.#swarm.countViolation(peerId)
  }

  /**
   * Serves one more model: it is loaded when a request waits for it.
   *
   * @param memoryBytesMax for all models together, where there was no bound so far
   */
  addModel(spec: ModelSpec, memoryBytesMax: number): void {
    this.#late.set(spec.id, { spec, memoryBytesMax })
    this.worker.expect(spec.id, spec.path)
    this.#to('inference')?.send({ type: 'model.add', spec, memoryBytesMax })
    this.events.emit('models')
  }

  /** Serves a model no more that `addModel` brought; `models` follows when it is gone. */
  removeModel(modelId: ModelId): void {
    this.#late.delete(modelId)
    this.#to('inference')?.send({ type: 'model.remove', modelId })
  }

  /** Looks for workers that hold this very model, for a while. */
  seekModel(hash: ModelHash): void {
    this.#hashTopics.seek(hash)
  }

  /** Looks for peers under a topic of another network, and is found under it; the result leaves. */
  joinTopic(topic: Buffer): () => void {
    return this.#swarm.joinTopic(topic)
  }

  /** Cuts a peer off for as long as this node runs. */
  ban(peerId: PeerId): void {
    this.#swarm.ban(peerId)
  }

  /** Resolves when everything is closed; the second call waits for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#hashTopics.close()
    const duty = this.#to('duty')
    if (duty) duty.send({ type: 'duty.leave' })
    else this.worker.dutyChanged(['shutdown'])
    await this.worker.intake.idle(this.#options.config.drainSeconds * 1_000)
    this.worker.intake.refuseAll('QM_DRAINING')
    const node = this.#node
    if (node) {
      const stopped = new Promise<void>((resolve) => {
        node.subscribe({ complete: resolve })
      })
      node.send({ type: 'node.stop' })
      await stopped
    }
    this.#localWires.close()
    this.#publisher.close()
    await Promise.all([this.#swarm.closed(), this.#options.gateway?.closed(), ...this.worker.closings])
    this.events.removeAllListeners()
  }

  #started(): Actor<typeof nodeMachine> {
    if (this.#node) return this.#node
    throw new QMeshError('QM_NODE_STOPPED', 'The node is not up yet.')
  }

  /** The running actor of a part; undefined while it is down. */
  #to<Name extends keyof Commands>(name: Name): { send(command: Commands[Name]): void } | undefined {
    return this.#refs.get(name)
  }

  #createNode(now: () => number): Actor<typeof nodeMachine> {
    const { logger, gateway } = this.#options
    const subsystems = createParts({
      options: this.#options,
      now,
      worker: this.worker,
      client: this.client,
      swarm: this.#swarm.logic,
      lateModels: () => [...this.#late.values()],
      attach: (name, ref) => this.#attach(name, ref),
    })
    const node = createActor(nodeMachine, { input: { now, subsystems } })
    node.on('node.restarting', ({ name, error, backOffMs }) => {
      logger.warn(
        { part: name, code: error.code, error: error.message, backOffMs },
        'a part failed and is restarted',
      )
      gateway?.meter.restarted(name)
      this.events.emit('restarting', name, error)
    })
    node.on('node.degraded', ({ name, error }) => {
      const { sentence } = errorCatalogue.QM_ACTOR_GAVE_UP
      logger.error({ part: name, code: error.code, error: error.message }, sentence)
      if (name === 'inference') {
        this.worker.inferenceGaveUp(error)
        this.events.emit('models')
      }
      this.events.emit(
        'degraded',
        name,
        new QMeshError('QM_ACTOR_GAVE_UP', `${name}: ${error.message}`, { cause: error }),
      )
    })
    return node
  }

  /** A part was started, restarted, or is down. Listeners are attached before the actor runs: nothing is missed. */
  #attach(name: SubsystemName, ref: AnyActorRef | undefined): void {
    if (ref) this.#refs.set(name, ref)
    else this.#refs.delete(name)
    switch (name) {
      case 'duty':
        // Without it the worker stays as it is: it neither refuses without a reason nor forgets one.
        ref?.on('duty.changed', (event) => {
          const { pauses } = event as DutyEmitted
          this.#options.logger.info({ because: pauses }, pauses.length > 0 ? 'pausing' : 'serving')
          this.worker.dutyChanged(pauses)
          this.#options.modelsSide?.paused(pauses.length > 0)
        })
        return
      case 'health-sampler':
        if (!ref) {
          this.worker.healthLost()
          return this.#tellLoad()
        }
        ref.on('health.changed', (event) => {
          const { score, state, capacityShare } = event as HealthSamplerEmitted
          this.worker.healthChanged({ score, state, capacityShare })
          this.#tellLoad()
        })
        return
      case 'inference':
        if (!ref) {
          this.worker.inferenceLost()
          this.events.emit('models')
          return
        }
        ref.on('*', (event) => {
          this.#inferenceLog.heard(event as InferenceEmitted)
          this.#noteLoaded(event as InferenceEmitted)
          this.worker.inferred(event as InferenceEmitted)
          if (!event.type.startsWith('model.')) return
          // Who looks for a model now must not wait for the next second.
          this.#publisher.flush()
          this.events.emit('models')
        })
        return
      case 'scheduler':
        if (!ref) {
          this.worker.schedulerLost()
          this.events.emit('queue')
          return
        }
        ref.on('*', (event) => {
          const { slots: slotsBefore } = this.worker.queue
          this.worker.scheduled(event as SchedulerEmitted)
          if (event.type === 'queue.changed') {
            const { length, slots } = this.worker.queue
            // The slots of a new model are counted a moment after it was announced, and nobody goes where there are none.
            if (slots !== slotsBefore) this.#publisher.flush()
            const capacity = this.#options.config.queueCapacity
            this.#to('health-sampler')?.send({ type: 'queue.reported', length, capacity })
            this.events.emit('queue')
          }
        })
        // Its mailbox opens when it starts; what is sent before waits there.
        queueMicrotask(() => this.worker.schedulerStarted())
        return
      case 'score-gossiper':
        ref?.on('gossiper.ready', (event) => {
          const { told } = event as Extract<GossiperEmitted, { type: 'gossiper.ready' }>
          this.#options.logger.debug({ peers: told }, 'the own log may grow')
        })
        ref?.on('gossiper.searching', (event) => {
          const { told } = event as Extract<GossiperEmitted, { type: 'gossiper.searching' }>
          this.#options.logger.warn(
            { peers: told },
            'the keys of this node were imported, and nobody met so far holds their log: nothing is written before it is found. If there was none, or it is lost, stop the node and run "qmesh-node keys adopt"',
          )
        })
        return
      case 'gateway':
        this.#options.gateway?.attached(ref)
        return
      case 'swarm':
        if (!ref) return this.#setNetwork('offline', 0)
        ref.on('*', (event) => this.#heard(event as SwarmEmitted))
        return
      case 'requester':
        if (!ref) this.client.traces.lost()
    }
  }

  #tellLoad(): void {
    this.#to('duty')?.send({ type: 'load.reported', isOverloaded: this.worker.isOverloaded })
  }

  #heard(event: SwarmEmitted): void {
    const { logger } = this.#options
    switch (event.type) {
      case 'peer.opened':
        logger.debug({ peer: event.peerId, agent: event.hello.agent }, 'peer connected')
        return this.#setNetwork(this.#network.state, this.#network.peers + 1)
      case 'peer.closed':
        if (event.code) logger.info({ peer: event.peerId, code: event.code }, 'peer disconnected')
        return this.#setNetwork(this.#network.state, this.#network.peers - (event.wasOpen ? 1 : 0))
      case 'swarm.state':
        return this.#setNetwork(event.state, event.peers)
      case 'swarm.failed':
        logger.error({ code: event.error.code }, event.error.message)
    }
  }

  #setNetwork(state: 'starting' | 'online' | 'offline', peers: number): void {
    const before = this.#network.state
    this.#network = { state, peers: Math.max(0, peers) }
    if (state === before || state === 'starting' || this.isStopping) return
    this.#options.logger.info({ peers }, state === 'online' ? 'online' : 'offline: no peer can be reached')
    this.events.emit('network', state)
  }

  #noteLoaded(event: InferenceEmitted): void {
    const { modelsSide } = this.#options
    if (event.type === 'model.ready') modelsSide?.loaded(event.model.id, event.model.hash)
    else if (event.type === 'model.unloaded' || event.type === 'model.failed')
      modelsSide?.unloaded(event.modelId)
    else if (event.type === 'slot.freed')
      modelsSide?.answered(modelIdOfSlot(event.slotId), event.completionTokens, event.runMs)
  }
}
