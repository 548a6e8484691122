import type { HashCachePort } from '../../actors/inference/hash-cache.port.ts'
import type { JoinTopic } from '../../actors/models/seeding/core-exchange.ts'
import { type ModelHash, type ModelId, modelsNetwork, type PeerId, toTopic } from '../../protocol/index.ts'
import { modelsNetworkId } from '../../protocol/models/index.ts'
import { createSigner } from '../../protocol/trust/index.ts'
import type { Config } from '../config/index.ts'
import type { Identity } from '../identity.ts'
import type { Logger } from '../logger.ts'
import type { ModelLibrary } from './model-library.ts'
import { ModelTransfer } from './model-transfer.ts'
import { ServedModels, type ServedModelsOptions } from './served-models.ts'
import { openModelLibrary } from './open-library.ts'
import { hubOptions } from './open-transfer.ts'
import { toTransferCaps } from './transfer-caps.ts'

export interface ModelsSideOptions {
  readonly config: Config
  readonly identity: Identity
  readonly hashCache: HashCachePort
  readonly logger: Logger
  readonly joinTopic: JoinTopic
  /** A peer broke the rules of the models network. */
  readonly onViolation: (peerId: PeerId) => void
}

/** The models of a node: those that are here, and what moves them. */
export class ModelsSide {
  readonly library: ModelLibrary
  readonly transfer: ModelTransfer
  readonly #logger: Logger
  #isClosed = false
  readonly #loaded = new Map<ModelId, { readonly hash: ModelHash; readonly bytes: number }>()
  readonly #releasing = new Set<Promise<void>>()
  readonly #holds = new Map<ModelId, Promise<() => Promise<void>>>()

  constructor(library: ModelLibrary, transfer: ModelTransfer, logger: Logger) {
    this.library = library
    this.transfer = transfer
    this.#logger = logger
  }

  /** The engine has it: nobody removes its file, and it is not the one that was unused for longest. */
  loaded(modelId: ModelId, hash: ModelHash): void {
    const { store } = this.library
    const stored = store.get(hash)
    if (this.#holds.has(modelId) || !stored) return
    this.#loaded.set(modelId, { hash, bytes: stored.bytes })
    const held = store.hold(hash)
    this.#holds.set(modelId, held)
    Promise.all([held, store.used(hash, Date.now())]).catch((error: unknown) =>
      this.#logger.warn({ err: error, model: modelId }, 'the store of models cannot note what is loaded'),
    )
  }

  /** An answer took so long, its prompt included. */
  answered(modelId: ModelId, tokens: number, ms: number): void {
    const stored = this.#loaded.get(modelId)
    if (stored) void this.library.speeds.note({ ...stored, id: modelId }, tokens, ms)
  }

  unloaded(modelId: ModelId): void {
    this.#loaded.delete(modelId)
    const held = this.#holds.get(modelId)
    this.#holds.delete(modelId)
    if (!held) return
    const released: Promise<void> = held
      .then((release) => release())
      .catch(() => {})
      .finally(() => this.#releasing.delete(released))
    this.#releasing.add(released)
  }

  /** Resolves when the files of all models that were unloaded are marked as free. */
  async settled(): Promise<void> {
    await Promise.all(this.#releasing)
  }

  /** Lets a node that answers serve what is here and what comes. */
  serve(options: Omit<ServedModelsOptions, 'library'>): void {
    this.transfer.serving = new ServedModels({ ...options, library: this.library })
  }

  /** Offers nothing while the owner wants the machine for something else. */
  paused(isPaused: boolean): void {
    if (this.#isClosed) return
    if (isPaused) this.transfer.pause('owner')
    else this.transfer.resume('owner')
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.transfer.serving?.close()
    await this.transfer.close()
    for (const modelId of this.#holds.keys()) this.unloaded(modelId)
    await this.settled()
    await this.library.close()
  }
}

/** @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_CONFIG_INVALID` */
export async function openModelsSide(options: ModelsSideOptions): Promise<ModelsSide> {
  const { config, identity, hashCache, logger, joinTopic, onViolation } = options
  const library = await openModelLibrary(config, {
    hashCache,
    log: (level, message) => logger[level](message),
  })
  const transfer = new ModelTransfer({
    library,
    joinTopic,
    meetingTopic: toTopic({ network: modelsNetwork, secret: config.secret }),
    signer: createSigner(modelsNetworkId, identity.noiseKeyPair()),
    sources: hubOptions(),
    ...toTransferCaps(config),
    onViolation: (peerId, code, detail) => {
      logger.info({ peer: peerId, code }, `a peer of the models network: ${detail}`)
      onViolation(peerId)
    },
  })
  transfer.on('warning', (message) => logger.warn(message))
  transfer.on('seedEnded', (hash, reason) => logger.warn({ hash }, `a model is offered no more: ${reason}`))
  return new ModelsSide(library, transfer, logger)
}
