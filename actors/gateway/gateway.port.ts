import type { WorkerView } from '../../machines/selection/index.ts'
import type { ChatMessage, ModelAd, PeerId } from '../../protocol/index.ts'
import type { Answer } from '../request/answer.ts'
import type { AskOptions } from '../request/ask-options.ts'

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
  readonly models: readonly { readonly id: string; readonly state: string }[]
  readonly queue: {
    readonly length: number
    readonly capacity: number
    readonly slotsBusy: number
    readonly slots: number
  }
  readonly health: { readonly score: number }
}

/** What the gateway stands in front of: a node, as a program that embeds one sees it. */
export interface GatewayPort {
  ask(input: string | readonly ChatMessage[], options?: AskOptions): Answer
  status(): GatewayNodeStatus
  workers(): readonly GatewayWorker[]
  /** The latest requests of this node, the latest first. */
  requests(): readonly object[]
  /** @throws QMeshError `QM_REQUEST_UNKNOWN` */
  why(requestId?: string, options?: { readonly replay?: boolean | undefined }): object
  /** @throws QMeshError `QM_ACCOUNT_UNKNOWN` for a node that keeps no books */
  scores(): readonly object[]
}
