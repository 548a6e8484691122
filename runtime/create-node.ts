import { join } from 'node:path'
import { z } from 'zod'
import type { Engine, ModelSpec } from '../actors/inference/engine.port.ts'
import { createLlamaEngine } from '../actors/inference/llama/llama-engine.ts'
import { type NodeAddress, parseNodeAddress, type SwarmSettings } from '../actors/swarm/index.ts'
import { entryOf, type PrecedencePort, type Tier } from '../machines/scheduling/index.ts'
import { type PeerId, QMeshError, toQMeshError } from '../protocol/index.ts'
import { closeAll } from './close-all.ts'
import { configFromOptions, withoutEngine, type Config } from './config/index.ts'
import { openDataDir } from './data-dir.ts'
import { createHashCache } from './hash-cache.ts'
import { createEphemeralIdentity, type Identity } from './identity.ts'
import { inferenceWorkerUrl } from './inference-worker.ts'
import { createLogger } from './logger.ts'
import { toLateBudget, toMemoryBudget, toModelSpecs } from './model-specs.ts'
import { toRemoteSpec, withRemote, withRemoteEngine } from './remote-model.ts'
import { type ModelsSide, openModelsSide } from './models/models-side.ts'
import { modelsDirOf } from './models/open-library.ts'
import { Node } from './node.ts'
import type { NodeOptions, QMeshClient, QMeshNode } from './node-api.ts'
import { NodeSystem } from './node-system.ts'
import { toOwnActors } from './own-actors.ts'
import type { Tracing } from './tracing/open-tracing.ts'
import { openTrustSide, type TrustSide } from './trust/trust-side.ts'
import { packageVersion } from './version.ts'

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
    await closeAll([
      () => tracing?.close(),
      () => modelsSide?.close(),
      () => trust?.close(),
      () => dataDir?.close(),
    ]).catch((closing: unknown) => logger.error({ err: closing }, 'stopping failed'))
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
