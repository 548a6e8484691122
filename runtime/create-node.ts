import { join } from 'node:path'
import type { AnyActorRef } from 'xstate'
import { z } from 'zod'
import type { Engine, ModelSpec } from '../actors/inference/engine.port.ts'
import { createLlamaEngine } from '../actors/inference/llama/llama-engine.ts'
import type { Answer } from '../actors/request/answer.ts'
import type { AskOptions } from '../actors/request/ask-options.ts'
import type { EmbedOptions } from '../actors/request/embed-options.ts'
import type { Embeddings } from '../actors/request/embedder.ts'
import { type NodeAddress, parseNodeAddress, type SwarmSettings } from '../actors/swarm/index.ts'
import { entryOf, type PrecedencePort, type Tier } from '../machines/scheduling/index.ts'
import type { EffortPolicy } from '../machines/trust/index.ts'
import { type ChatMessage, type ModelId, type PeerId, QMeshError, toQMeshError } from '../protocol/index.ts'
import { configFromOptions, withoutEngine, type Config, type ConfigInput } from './config/index.ts'
import { startControlServer, type ControlServer, type WorkerSummary } from './control/index.ts'
import { type DataDir, openDataDir } from './data-dir.ts'
import type { GatewaySide } from './gateway-side.ts'
import { createHashCache } from './hash-cache.ts'
import { createEphemeralIdentity, type Identity } from './identity.ts'
import { inferenceWorkerUrl } from './inference-worker.ts'
import { createLogger, type Logger } from './logger.ts'
import { toLateBudget, toMemoryBudget, toModelSpecs } from './model-specs.ts'
import { toRemoteSpec, withRemote, withRemoteEngine } from './remote-model.ts'
import type { ModelTransfer } from './models/model-transfer.ts'
import { type ModelsSide, openModelsSide } from './models/models-side.ts'
import { modelsDirOf } from './models/open-library.ts'
import type { NodeStatus } from './node-status.ts'
import { type NodeEvents, NodeSystem } from './node-system.ts'
import { toOwnActors, type OwnActors } from './own-actors.ts'
import type { CreditReport, ScoreReport, ScoreRow } from './trust/reports.ts'
import type { Tracing } from './tracing/open-tracing.ts'
import { toCreditReport, toLeaderboard, toNodeAccount, toScoreReport } from './trust/report-maker.ts'
import { openTrustSide, type TrustSide } from './trust/trust-side.ts'
import { packageVersion } from './version.ts'
import type { RequestExplanation, RequestSummary, WhyOptions } from './why/request-explanation.ts'

/** Everything of the configuration, and what only a program can give. */
export interface NodeOptions extends ConfigInput {
  /** Absent: one of its own, to standard error, from `warn` up unless `logLevel` says otherwise. */
  readonly logger?: Logger
  /**
   * Lives in memory only: a new identity, no data directory, no control socket. For a client that asks and leaves.
   */
  readonly ephemeral?: boolean
  /** Lets `qmesh-node status`, `ask` and the like reach this node through a socket in its data directory. */
  readonly control?: boolean
  /**
   * Whether a gateway that cannot listen keeps the node from starting, as one does that was asked for; otherwise
   * `status().gateway` says why. Default true.
   */
  readonly isGatewayRequired?: boolean
  /**
   * The tiers of clients that this node's worker knows, instead of what they earned: each stands where its tier begins.
   * Everybody else is a newcomer.
   */
  readonly tiers?: Readonly<Record<PeerId, Tier>>
  /** When its full queue asks newcomers for work, and for how much, where it differs from what everybody does. */
  readonly effort?: Partial<EffortPolicy>
  /**
   * Actors of your own beside the node's parts, by their names: logic of XState 5, which is given the node as its input.
   * They start last and stop first, are started again when they fail, as often as the node's parts are, and are seen in
   * `status().parts` and in the inspector. One that is done stays done. `node.actor.system.get(name)` is the running one.
   */
  readonly actors?: OwnActors<NodeActorInput>
  /** Stands between the node and its engine, to watch or to slow what it does. */
  readonly wrapEngine?: (engine: Engine) => Engine
}

/** What an actor of `NodeOptions.actors` is given each time it starts. */
export interface NodeActorInput {
  readonly node: QMeshNode
}

/** A node that asks. Everything it holds is released by `stop`. */
export interface QMeshClient {
  /** Its public key, 64 hex characters. */
  readonly id: PeerId
  /** The root of the node's actors, to be looked at: `inspect(node.actor)`, `node.actor.system.get('swarm')`. */
  readonly actor: AnyActorRef
  /**
   * Asks the mesh, this node's own models included.
   *
   * @throws QMeshError `QM_REQUEST_INVALID`, naming the option; every other failure is the answer's
   */
  ask(input: string | readonly ChatMessage[], options?: AskOptions): Answer
  /**
   * Turns texts into vectors, by a model for embeddings of the mesh. A long list goes in parts to several workers; all
   * its vectors are of the same weights.
   *
   * @throws QMeshError `QM_REQUEST_INVALID`, naming the option or the text; `QM_MODEL_KIND` for a model that answers; or
   *   why the first part that failed did
   */
  embed(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings>
  workers(): WorkerSummary[]
  status(): NodeStatus
  /** The latest requests of this node, the latest first. */
  requests(): RequestSummary[]
  /**
   * Why a request went where it went, and how it ended: what each choice was made from, and what came of it.
   *
   * @param requestId or its beginning; absent, the latest request
   * @throws QMeshError `QM_REQUEST_UNKNOWN`
   */
  why(requestId?: string, options?: WhyOptions): RequestExplanation
  /**
   * Every account that this node has heard of, the highest score first.
   *
   * @throws QMeshError `QM_ACCOUNT_UNKNOWN` for a node without a data directory, which keeps no books
   */
  scores(): ScoreRow[]
  /**
   * Where a score comes from, to the receipt.
   *
   * @param id the account's id or its beginning; absent, this node's own
   * @param last entries of its log to list, 20 if left out
   * @throws QMeshError `QM_ACCOUNT_UNKNOWN`
   */
  whyScore(id?: string, last?: number): Promise<ScoreReport>
  /** Models on their way here, and to others; undefined for a node without a data directory, which keeps none. */
  readonly models: ModelTransfer | undefined
  /** What this node earned, paid and may spend. @throws QMeshError `QM_ACCOUNT_UNKNOWN` */
  credit(last?: number): Promise<CreditReport>
  on<Name extends keyof NodeEvents>(name: Name, listener: (...event: NodeEvents[Name]) => void): this
  off<Name extends keyof NodeEvents>(name: Name, listener: (...event: NodeEvents[Name]) => void): this
  /** Stops in order: nothing new, what runs may finish, then everything closes. May be called twice. */
  stop(): Promise<void>
}

/** A node that also serves models. */
export interface QMeshNode extends QMeshClient {
  /**
   * Resolves when every model is loaded or has failed. Rejects when none could be loaded, with the reason of the first;
   * the node itself goes on as a client. Rejects with `QM_NODE_STOPPED` when the node stops before.
   */
  readonly ready: Promise<void>
  /**
   * Takes nothing of others until `resume`: what they have waiting is refused with `QM_DRAINING`, what runs goes on until
   * its client has moved it. This node's own questions are answered as ever. Says what the node is doing now.
   */
  drain(): NodeStatus
  /** Takes `drain` back. Other reasons to pause stay: see `status().health.pausedBy`. */
  resume(): NodeStatus
}

const knownNodesFile = 'dht-nodes.json'
const knownNodesMax = 64
const knownNodesSchema = z
  .array(z.object({ host: z.string().max(255), port: z.number().int().min(1).max(65_535) }))
  .max(knownNodesMax)

/**
 * Starts a node: worker and client in one. It resolves when the node is up; models may still be loading, see `ready`.
 *
 * @throws QMeshError for a configuration, data directory or identity that cannot be used
 */
export async function createNode(options: NodeOptions = {}): Promise<QMeshNode> {
  const {
    logger: givenLogger,
    ephemeral = false,
    control = false,
    isGatewayRequired = true,
    tiers,
    effort,
    actors,
    wrapEngine = (engine: Engine) => engine,
    ...given
  } = options
  const config = configFromOptions({ logLevel: 'warn', ...given })
  const ownActors = toOwnActors(actors)
  const logger = givenLogger ?? createLogger({ level: config.logLevel, file: config.logFile })
  // Who wants no HTTP does not pay for its framework.
  const gateway = config.gateway
    ? (await import('./gateway-side.ts')).createGatewaySide({ config, logger })
    : undefined
  const lockLost = new AbortController()
  const dataDir = ephemeral
    ? undefined
    : await openDataDir(config.dataDir, {
        onLost: () => lockLost.abort(),
        onDamaged: (file, error) => logger.warn({ file, error: error.message }, 'a state file is ignored'),
      })
  let trust: TrustSide | undefined
  let modelsSide: ModelsSide | undefined
  let tracing: Tracing | undefined
  try {
    const identity = dataDir?.identity ?? createEphemeralIdentity()
    const hashCache = dataDir && createHashCache(dataDir)
    const peers = {
      ban: (_: PeerId) => {},
      count: (_: PeerId) => {},
      join: (_: Buffer) => (): void => {},
    }
    modelsSide =
      hashCache &&
      (await openModelsSide({
        config,
        identity,
        hashCache,
        logger,
        joinTopic: (topic) => peers.join(topic),
        onViolation: (peerId) => peers.count(peerId),
      }).catch((error: unknown) => {
        // Models that were named by their files are served without it.
        logger.error({ err: error }, toQMeshError(error).message)
        return undefined
      }))
    const remote = toRemoteSpec(config)
    const models = withRemote(await toModelSpecs(config, modelsSide?.library), remote)
    const isWorker = models.length > 0 || (config.serveAll === true && modelsSide !== undefined)
    trust =
      dataDir &&
      (await openTrustSide({
        dataDir,
        config,
        logger,
        isWorker: isWorker && config.serve,
        onBanned: (peerId) => peers.ban(peerId),
        onViolation: (peerId) => peers.count(peerId),
      }).catch((error: unknown) => {
        // Nobody would answer it: that has to be said at once, and not in a log.
        if (error instanceof QMeshError && error.code === 'QM_ACCOUNT_BANNED') throw error
        // Without its books a node still asks and answers, as a newcomer.
        logger.error({ err: error }, toQMeshError(error).message)
        return undefined
      }))
    const knownNodes = await dataDir?.readState(knownNodesFile, knownNodesSchema)
    // Who traces nothing loads nothing for it.
    tracing =
      config.tracesEndpoint === undefined
        ? undefined
        : (await import('./tracing/open-tracing.ts')).openTracing({
            endpoint: config.tracesEndpoint,
            id: identity.id,
            logger,
          })
    const system = new NodeSystem({
      selfId: identity.id,
      config,
      models,
      isWorker,
      memoryBytesMax: await toMemoryBudget(config, models),
      logger,
      swarmSettings: toSwarmSettings(config, identity, isWorker, knownNodes),
      engine: wrapEngine(
        withRemoteEngine(
          createLlamaEngine({
            workerUrl: inferenceWorkerUrl,
            hashCache,
            trialDir: dataDir && join(modelsDirOf(config), 'trials'),
            onLog: (level, message) => logger.debug({ engine: level }, message),
          }),
          remote && { ...remote, selfId: identity.id, onLog: (level, message) => logger[level](message) },
        ),
      ),
      trust,
      gateway,
      modelsSide,
      precedence: tiers && precedenceFrom(tiers),
      tracing,
      effort,
      ownActors,
      createOwnInput: () => ({ node }),
      onKnownNodes: (nodes) => void dataDir?.writeState(knownNodesFile, nodes.slice(0, knownNodesMax)),
    })
    peers.ban = (peerId) => system.ban(peerId)
    peers.count = (peerId) => system.countViolation(peerId)
    peers.join = (topic) => system.joinTopic(topic)
    for (const accountId of trust?.banned() ?? []) system.ban(accountId)
    if (isWorker) modelsSide?.serve(toServing({ config, models, system, modelsSide }))
    const named = new Set(models.map(({ id }) => id))
    const node: Node = new Node({
      id: identity.id,
      named,
      system,
      config,
      dataDir,
      trust,
      logger,
      gateway,
      modelsSide,
      tracing,
    })
    // Two nodes with one identity would harm each other: the one that lost the lock leaves.
    lockLost.signal.addEventListener('abort', () => {
      logger.fatal('another process took the lock of the data directory: stopping')
      node.stop().catch((error: unknown) => logger.error({ err: error }, 'stopping failed'))
    })
    // Opening may have taken minutes: the books and the models are looked through.
    if (lockLost.signal.aborted) {
      throw new QMeshError(
        'QM_DATA_DIR_LOCKED',
        `another process took the lock of the data directory ${config.dataDir} while this node was starting`,
      )
    }
    await node.start(control, isGatewayRequired)
    return node
  } catch (error) {
    await tracing?.close()
    await modelsSide?.close()
    await trust?.close()
    await dataDir?.close()
    throw error
  }
}

/**
 * Starts a node without models of its own.
 *
 * @throws QMeshError as `createNode`
 */
export const createClient = (options: Omit<NodeOptions, 'models'> = {}): Promise<QMeshClient> =>
  createNode({ ...withoutEngine(options), models: [], serveAll: false })

interface NodeInput {
  readonly id: PeerId
  /** Models that it was started with. */
  readonly named: ReadonlySet<ModelId>
  readonly system: NodeSystem
  readonly config: Config
  readonly dataDir: DataDir | undefined
  readonly trust: TrustSide | undefined
  readonly logger: Logger
  readonly gateway: GatewaySide | undefined
  readonly modelsSide: ModelsSide | undefined
  readonly tracing: Tracing | undefined
}

class Node implements QMeshNode {
  readonly id: PeerId
  readonly ready: Promise<void>
  readonly #system: NodeSystem
  readonly #config: Config
  readonly #dataDir: DataDir | undefined
  readonly #trust: TrustSide | undefined
  readonly #logger: Logger
  readonly #gateway: GatewaySide | undefined
  readonly #modelsSide: ModelsSide | undefined
  readonly #tracing: Tracing | undefined
  readonly #startedAtMs = performance.now()
  #control: ControlServer | undefined
  #stopped: Promise<void> | undefined
  #endWait: () => void = () => {}

  constructor({ id, named, system, ...sides }: NodeInput) {
    this.id = id
    this.#system = system
    this.#config = sides.config
    this.#dataDir = sides.dataDir
    this.#trust = sides.trust
    this.#logger = sides.logger
    this.#gateway = sides.gateway
    this.#modelsSide = sides.modelsSide
    this.#tracing = sides.tracing
    this.#gateway?.serve(this)
    const leaving = new Promise<never>((_, reject) => {
      this.#endWait = () =>
        reject(new QMeshError('QM_NODE_STOPPED', 'the node stopped before its models were loaded'))
    })
    this.ready = Promise.race([modelsSettled(system, named), leaving])
    // Whoever does not wait for the models is not to be ended by one that failed: `status` and the log say so.
    this.ready.catch(() => {})
  }

  async start(hasControl: boolean, isGatewayRequired: boolean): Promise<void> {
    if (this.#dataDir && hasControl) {
      this.#control = await startControlServer({
        dataDir: this.#dataDir.path,
        port: this,
        onError: (error) => this.#logger.error({ err: error }, 'a defect in the control socket'),
      })
    }
    try {
      this.#system.start()
      await this.#system.opened()
      await this.#gateway?.opened().catch((error: unknown) => {
        if (isGatewayRequired) throw error
      })
    } catch (error) {
      await this.#system.stop()
      await this.#control?.close()
      throw error
    }
    this.#modelsSide?.transfer.start()
    void this.#modelsSide?.transfer.serving?.update()
    this.#logger.info({ id: this.id, dataDir: this.#dataDir?.path }, 'node started')
  }

  ask(input: string | readonly ChatMessage[], options?: AskOptions): Answer {
    if (this.#stopped) throw new QMeshError('QM_NODE_STOPPED')
    const answer = this.#system.client.asker.ask(input, options)
    // After it was checked.
    if (options?.modelHash !== undefined) this.#system.seekModel(options.modelHash)
    return answer
  }

  async embed(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings> {
    if (this.#stopped) throw new QMeshError('QM_NODE_STOPPED')
    const embeddings = this.#system.client.embedder.embed(texts, options)
    // After it was checked.
    if (options?.modelHash !== undefined) this.#system.seekModel(options.modelHash)
    return embeddings
  }

  get actor(): AnyActorRef {
    return this.#system.actor
  }

  get models(): ModelTransfer | undefined {
    return this.#modelsSide?.transfer
  }

  workers(): WorkerSummary[] {
    return this.#system.client.directory.list(performance.now()).map(({ local, models, ...view }) => ({
      ...view,
      isLocal: local,
      models: [...models],
      ...(this.#trust && { tier: this.#trust.ledger.precedenceOf(view.workerId).tier }),
    }))
  }

  status(): NodeStatus {
    const { worker, client, network, address, parts } = this.#system
    const { givenBytes = 0, fetchedBytes = 0 } = this.#modelsSide?.transfer.traffic ?? {}
    const account = this.#trust && toNodeAccount(this.#trust.ledger)
    const { score, state } = worker.health
    const { pauses } = worker
    const { length, capacity, slotsBusy, slots } = worker.queue
    return {
      id: this.id,
      ...(this.#config.name !== undefined && { name: this.#config.name }),
      version: packageVersion(),
      pid: process.pid,
      uptimeMs: Math.round(performance.now() - this.#startedAtMs),
      ...(this.#dataDir && { dataDir: this.#dataDir.path }),
      network: {
        state: this.#stopped ? 'stopping' : network.state,
        peers: network.peers,
        isPrivate: this.#config.secret !== undefined,
        ...address,
      },
      ...(this.#gateway && { gateway: this.#gateway.status() }),
      models: [...worker.models],
      parts,
      queue: {
        length,
        capacity,
        slotsBusy,
        slots,
        ...(worker.effortBits > 0 && { effortBits: worker.effortBits }),
      },
      health: {
        score,
        state,
        accepting: pauses.length === 0,
        ...(pauses.length > 0 && { pausedBy: [...pauses] }),
      },
      ...(account && { account }),
      totals: {
        servedPromptTokens: worker.totals.promptTokens,
        servedTokens: worker.totals.tokens,
        receivedTokens: client.totals.tokens,
        givenModelBytes: givenBytes,
        fetchedModelBytes: fetchedBytes,
      },
    }
  }

  requests(): RequestSummary[] {
    return this.#system.client.traces.list()
  }

  why(requestId?: string, options?: WhyOptions): RequestExplanation {
    return this.#system.client.traces.why(requestId, options)
  }

  scores(): ScoreRow[] {
    return toLeaderboard(this.#requireTrust().ledger)
  }

  whyScore(id?: string, last?: number): Promise<ScoreReport> {
    const { ledger, gossip } = this.#requireTrust()
    return toScoreReport(ledger, id, last, gossip)
  }

  credit(last?: number): Promise<CreditReport> {
    const { ledger, deals } = this.#requireTrust()
    return toCreditReport(ledger, deals.reserved, last)
  }

  drain(): NodeStatus {
    return this.#setDrained(true)
  }

  resume(): NodeStatus {
    return this.#setDrained(false)
  }

  on<Name extends keyof NodeEvents>(name: Name, listener: (...event: NodeEvents[Name]) => void): this {
    this.#system.events.on(name, listener as never)
    return this
  }

  off<Name extends keyof NodeEvents>(name: Name, listener: (...event: NodeEvents[Name]) => void): this {
    this.#system.events.off(name, listener as never)
    return this
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  #requireTrust(): TrustSide {
    if (this.#trust) return this.#trust
    throw new QMeshError(
      'QM_ACCOUNT_UNKNOWN',
      'this node keeps no books: it has no data directory, or its logs could not be opened',
    )
  }

  #setDrained(isDrained: boolean): NodeStatus {
    if (this.#stopped) throw new QMeshError('QM_NODE_STOPPED')
    this.#system.setDrained(isDrained)
    return this.status()
  }

  async #stop(): Promise<void> {
    this.#logger.info('stopping')
    this.#endWait()
    await this.#modelsSide?.close()
    await this.#system.stop()
    await this.#control?.close()
    await this.#tracing?.close()
    await this.#trust?.close()
    await this.#dataDir?.close()
    this.#logger.info('stopped')
    this.#logger.flush()
  }
}

function precedenceFrom(given: Readonly<Record<PeerId, Tier>>): PrecedencePort {
  const tiers = new Map(Object.entries(given))
  return { precedenceOf: (clientId) => entryOf(tiers.get(clientId) ?? 'bronze') }
}

/** What a node that answers serves beside the models that it was started with. */
function toServing({
  config,
  models,
  system,
  modelsSide,
}: {
  readonly config: Config
  readonly models: readonly ModelSpec[]
  readonly system: NodeSystem
  readonly modelsSide: ModelsSide
}): Parameters<ModelsSide['serve']>[0] {
  const { contextTokens, slots, serveAll = false } = config
  return {
    named: models,
    isAll: serveAll,
    defaults: { contextTokens, slots },
    node: {
      models: () => system.worker.models,
      addModel: async (spec) => {
        const loadedMb = system.worker.models.map(({ memoryMb = 0 }) => memoryMb)
        system.addModel(spec, await toLateBudget(config, loadedMb))
      },
      removeModel: (modelId) => system.removeModel(modelId),
      onModels: (listener) => {
        system.events.on('models', listener)
        return () => system.events.off('models', listener)
      },
      settled: () => modelsSide.settled(),
    },
  }
}

/** Resolves when none of these is on its way any more. Rejects when there are models and none of them came up. */
function modelsSettled({ events, worker }: NodeSystem, named: ReadonlySet<ModelId>): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = (): void => {
      const { models } = worker
      const isComing = ({ id, state }: (typeof models)[number]): boolean =>
        named.has(id) && (state === 'loading' || state === 'recovering')
      if (models.some(isComing)) return
      events.off('models', check)
      const [error] = models.flatMap((model) => model.error ?? [])
      if (error && models.every(({ state }) => state === 'failed'))
        reject(new QMeshError(error.code, error.message))
      else resolve()
    }
    events.on('models', check)
    check()
  })
}

function toSwarmSettings(
  config: Config,
  identity: Identity,
  isWorker: boolean,
  knownNodes: readonly NodeAddress[] | undefined,
): SwarmSettings {
  const { bootstrap, secret, host, port, allow, deny, mdns, serve } = config
  return {
    seed: identity.deriveSeed('noise'),
    agent: `qmesh/${packageVersion()}`,
    roles: isWorker && serve ? ['worker', 'client'] : ['client'],
    secret,
    bootstrap: bootstrap.length > 0 ? bootstrap.map(parseNodeAddress) : undefined,
    host,
    port,
    allow: allow.length > 0 ? allow : undefined,
    deny,
    mdns,
    knownNodes,
  }
}
