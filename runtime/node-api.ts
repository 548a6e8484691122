import type { AnyActorRef } from 'xstate'
import type { Engine } from '../actors/inference/engine.port.ts'
import type { Answer } from '../actors/request/answer.ts'
import type { AskOptions } from '../actors/request/ask-options.ts'
import type { EmbedOptions } from '../actors/request/embed-options.ts'
import type { Embeddings } from '../actors/request/embedder.ts'
import type { SubsystemName } from '../machines/node/subsystem.machine.ts'
import type { Tier } from '../machines/scheduling/index.ts'
import type { EffortPolicy } from '../machines/trust/index.ts'
import type { ChatMessage, PeerId, QMeshError } from '../protocol/index.ts'
import type { ConfigInput } from './config/index.ts'
import type { WorkerSummary } from './control/index.ts'
import type { Logger } from './logger.ts'
import type { ModelTransfer } from './models/model-transfer.ts'
import type { NodeStatus } from './node-status.ts'
import type { OwnActors } from './own-actors.ts'
import type { CreditReport, ScoreReport, ScoreRow } from './trust/reports.ts'
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
  /**
   * Stops in order: nothing new, what runs may finish, then everything closes. May be called twice. Rejects with the first
   * thing that could not be closed, after all others were.
   */
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

/** What a program that embeds a node can listen to. */
export interface NodeEvents {
  /** The known workers changed, in number or in what they say. */
  workers: []
  /** A model is loading, ready, recovering or failed: see `status().models`. */
  models: []
  /** The line of those who wait here changed, or the slots they wait for: see `status().queue`. */
  queue: []
  network: [state: 'online' | 'offline']
  /** A part of the node, or an actor that was added to it, failed and is started again. */
  restarting: [part: SubsystemName, error: QMeshError]
  /** One of them failed too often and stays down; the rest goes on. */
  degraded: [part: SubsystemName, error: QMeshError]
}
