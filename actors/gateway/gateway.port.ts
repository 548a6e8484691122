import type { WorkerView } from '../../machines/selection/index.ts'
import type { ChatMessage, ModelAd, PeerId, RequestId } from '../../protocol/index.ts'
import type { Answer } from '../request/answer.ts'
import type { AskOptions } from '../request/ask-options.ts'
import type { EmbedOptions } from '../request/embed-options.ts'
import type { Embeddings } from '../request/embedder.ts'

/** A worker that the node knows. */
export interface GatewayWorker extends Omit<WorkerView, 'local' | 'models'> {
  readonly isLocal: boolean
  readonly models: readonly ModelAd[]
}

/** What the gateway reads of the node's own state; `/v1/mesh` passes all of it on. */
export interface GatewayNodeStatus {
  readonly id: PeerId
  readonly version: string
  readonly uptimeMs: number
  readonly network: { readonly state: string; readonly peers: number }
  readonly models: readonly {
    readonly id: string
    readonly state: string
    readonly embeddingSize?: number | undefined
  }[]
  readonly queue: {
    readonly length: number
    readonly capacity: number
    readonly slotsBusy: number
    readonly slots: number
  }
  readonly health: { readonly score: number; readonly accepting: boolean }
  /** Absent where no books are kept. */
  readonly account?:
    | {
        readonly tier: string
        readonly score: number
        readonly balance: number
        readonly line: number
      }
    | undefined
  readonly totals?:
    | {
        readonly servedPromptTokens: number
        readonly servedTokens: number
        readonly receivedTokens: number
        readonly givenModelBytes: number
        readonly fetchedModelBytes: number
      }
    | undefined
}

/** A request of this node, as far as the gateway has to know it; `/v1/mesh/requests` passes all of it on. */
export interface GatewayRequest {
  readonly requestId: RequestId
}

/** The models of this machine, and those that are known of. */
export interface GatewayModels {
  readonly library: {
    /** Those that are here, and those of the catalogs. */
    search(): readonly object[]
    readonly store: {
      /** Looks what others, such as the command line, did to the files. */
      refresh(): Promise<unknown>
    }
  }
  /** Those that are offered to others. */
  seeds(): Promise<readonly object[]>
  /** @throws QMeshError when it cannot be found or fetched; `QM_CANCELLED` */
  pull(
    name: string,
    options?: {
      readonly signal?: AbortSignal | undefined
      readonly onProgress?: ((progress: object) => void) | undefined
      readonly onSourceFailed?: ((failure: { readonly source: string }) => void) | undefined
    },
  ): Promise<object>
}

/** What the gateway stands in front of: a node, as a program that embeds one sees it. */
export interface GatewayPort {
  ask(input: string | readonly ChatMessage[], options?: AskOptions): Answer
  embed(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings>
  status(): GatewayNodeStatus
  workers(): readonly GatewayWorker[]
  /** The latest requests of this node, the latest first. */
  requests(): readonly GatewayRequest[]
  /** @throws QMeshError `QM_REQUEST_UNKNOWN` */
  why(requestId?: string, options?: { readonly replay?: boolean | undefined }): object
  /** @throws QMeshError `QM_ACCOUNT_UNKNOWN` for a node that keeps no books */
  scores(): readonly object[]
  /** Where a score comes from. @throws QMeshError `QM_ACCOUNT_UNKNOWN` */
  whyScore(id?: string, last?: number): Promise<object>
  /** What this node earned, paid and may spend. @throws QMeshError `QM_ACCOUNT_UNKNOWN` */
  credit(last?: number): Promise<object>
  /** Undefined for a node that keeps no models. */
  readonly models: GatewayModels | undefined
}
