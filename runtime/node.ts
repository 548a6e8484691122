import type { AnyActorRef } from 'xstate'
import type { Answer } from '../actors/request/answer.ts'
import type { AskOptions } from '../actors/request/ask-options.ts'
import type { EmbedOptions } from '../actors/request/embed-options.ts'
import type { Embeddings } from '../actors/request/embedder.ts'
import { type ChatMessage, type ModelId, type PeerId, QMeshError } from '../protocol/index.ts'
import { closeAll } from './close-all.ts'
import type { Config } from './config/index.ts'
import { startControlServer, type ControlServer, type Meeting, type WorkerSummary } from './control/index.ts'
import type { DataDir } from './data-dir.ts'
import type { GatewaySide } from './gateway-side.ts'
import type { Logger } from './logger.ts'
import type { ModelTransfer } from './models/model-transfer.ts'
import type { ModelsSide } from './models/models-side.ts'
import type { NodeEvents, QMeshNode } from './node-api.ts'
import type { NodeStatus } from './node-status.ts'
import type { NodeSystem } from './node-system.ts'
import type { Tracing } from './tracing/open-tracing.ts'
import { toCreditReport, toLeaderboard, toNodeAccount, toScoreReport } from './trust/report-maker.ts'
import type { CreditReport, ScoreReport, ScoreRow } from './trust/reports.ts'
import type { TrustSide } from './trust/trust-side.ts'
import { toMeshTopic } from './mesh-topic.ts'
import { packageVersion } from './version.ts'
import type { RequestExplanation, RequestSummary, WhyOptions } from './why/request-explanation.ts'

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

/** What a program holds of a node that runs: its questions, its reports, and its end. */
export class Node implements QMeshNode {
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
  /** Rejects when the node stops: nothing that it waits for may come then. */
  readonly #leaving: Promise<never>
  #leave: () => void = () => {}

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
    this.#leaving = new Promise<never>((_, reject) => {
      this.#leave = () => reject(new QMeshError('QM_NODE_STOPPED', 'the node stopped before it was ready'))
    })
    this.ready = Promise.race([modelsSettled(system, named), this.#leaving])
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
      await Promise.race([this.#gatewayOpened(isGatewayRequired), this.#leaving])
      if (this.#stopped) await this.#leaving
    } catch (error) {
      await closeAll([() => this.#system.stop(), () => this.#control?.close()]).catch((closing: unknown) =>
        this.#logger.error({ err: closing }, 'stopping failed'),
      )
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

  /** For the owner's own commands only, see `Meeting`. */
  meeting(): Meeting {
    const { secret, bootstrap } = this.#config
    return { topic: toMeshTopic(secret), bootstrap: [...bootstrap] }
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

  async #gatewayOpened(isRequired: boolean): Promise<void> {
    try {
      await this.#gateway?.opened()
    } catch (error) {
      if (isRequired) throw error
    }
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
    this.#leave()
    await closeAll([
      () => this.#modelsSide?.close(),
      () => this.#system.stop(),
      () => this.#control?.close(),
      () => this.#tracing?.close(),
      () => this.#trust?.close(),
      () => this.#dataDir?.close(),
    ])
    this.#logger.info('stopped')
    this.#logger.flush()
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
