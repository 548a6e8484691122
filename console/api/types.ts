/**
 * What the page reads of the node's answers. It is less than there is: `/openapi.json` has all of it, and a test compares
 * the two.
 */

type HealthState = 'idle' | 'light' | 'moderate' | 'busy' | 'overloaded'

export interface NodeStatus {
  readonly id: string
  readonly name?: string | undefined
  readonly version: string
  readonly network: { readonly state: string; readonly peers: number; readonly isPrivate: boolean }
  readonly models: readonly NodeModel[]
  readonly queue: {
    readonly length: number
    readonly capacity: number
    readonly slotsBusy: number
    readonly slots: number
  }
  readonly health: {
    readonly score: number
    readonly state: HealthState
    readonly accepting: boolean
    readonly pausedBy?: readonly string[] | undefined
  }
}

/** A model that this node serves or would load. */
export interface NodeModel {
  readonly id: string
  readonly state: string
  readonly contextTokens?: number | undefined
  readonly slots?: number | undefined
  readonly backend?: string | undefined
  readonly memoryMb?: number | undefined
  /** Numbers in a vector, of a model that makes embeddings and answers nothing. */
  readonly embeddingSize?: number | undefined
  readonly error?: { readonly code: string; readonly message: string } | undefined
}

export interface Worker {
  readonly workerId: string
  readonly isLocal: boolean
  readonly models: readonly {
    readonly id: string
    readonly contextTokens: number
    readonly embeddingSize?: number | undefined
  }[]
  readonly healthScore: number
  readonly state: HealthState
  readonly accepting: boolean
  readonly queueLength: number
  readonly queueCapacity: number
  readonly slotsBusy: number
  readonly slots: number
  readonly barred?: string | undefined
  /** Requests of this node that it has now. */
  readonly inFlight: number
  readonly answers: number
  readonly firstTokenMs?: number | undefined
  readonly tokensPerSecond?: number | undefined
  readonly failuresInRow: number
}

export interface RequestSummary {
  readonly requestId: string
  readonly askedAt: string
  readonly state: 'open' | 'answered' | 'failed'
  readonly model?: string | undefined
  /** It asked for vectors, which have no tokens. */
  readonly embedding?: true | undefined
  readonly localOnly: boolean
  readonly tries: number
  readonly handovers: number
  readonly tokens: number
  readonly totalMs?: number | undefined
  readonly code?: string | undefined
  readonly message?: string | undefined
}

export interface RequestWhy extends RequestSummary {
  readonly attempts: readonly Attempt[]
  readonly search?: Choice | undefined
}

export interface Attempt {
  readonly workerId: string
  readonly modelId: string
  readonly atMs: number
  readonly tokens: number
  readonly queued?: { readonly position: number; readonly etaMs: number } | undefined
  readonly firstTokenMs?: number | undefined
  readonly totalMs?: number | undefined
  readonly handover?: { readonly afterTokens: number; readonly gapMs: number } | undefined
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly choice?: Choice | undefined
}

export interface Choice {
  readonly workerId: string | null
  readonly manner: string | null
  readonly seed: number
  readonly known: number
  readonly reasons: readonly Reason[]
  readonly isReproduced?: boolean | undefined
}

export type Reason = RejectedReason | RankedReason

export interface RejectedReason {
  readonly workerId: string
  readonly rejected: string
}

export interface RankedReason {
  readonly workerId: string
  readonly modelId: string
  readonly standing: string
  readonly group: string
  readonly score: number
  readonly terms: {
    readonly health: number
    readonly responsiveness: number
    readonly performance: number
    readonly queueAvailability: number
    readonly queued: number
  }
}

export type Tier = 'master' | 'diamond' | 'platinum' | 'gold' | 'silver' | 'bronze'

export interface ScoreRow {
  readonly id: string
  readonly name?: string | undefined
  readonly isSelf: boolean
  readonly tier: Tier
  /** Milliseconds that its paid requests go ahead of a newcomer's. */
  readonly headStartMs: number
  readonly score: number
  readonly reputation: number
  readonly receipts: number
  readonly balance: number
  readonly banned?: string | undefined
}

interface Counted {
  readonly raw: number
  readonly counted: number
}

export interface ScoreReport extends ScoreRow {
  readonly counts: {
    readonly counted: number
    readonly void: number
    readonly pending: number
    readonly expired: number
  }
  readonly funded: Counted
  readonly unfunded: Counted
  readonly achievements: readonly { readonly id: string; readonly why: string; readonly points: number }[]
  readonly clients: readonly {
    readonly id: string
    readonly name?: string | undefined
    readonly receipts: number
    readonly raw: number
    readonly counted: number
  }[]
  readonly entries: readonly HistoryEntry[]
}

export interface Credit {
  readonly balance: number
  readonly line: number
  readonly available: number
  readonly earned: number
  readonly pending: number
  readonly paid: number
  readonly burned: number
  readonly entries: readonly HistoryEntry[]
}

export type HistoryEntry =
  | {
      readonly type: 'receipt'
      readonly index: number
      readonly at: string
      readonly clientId: string
      readonly speed: number
      readonly complexity: number
      readonly quality: number
      readonly worth: number
      readonly tokens: number
      readonly milliseconds: number
      readonly price: number
    }
  | {
      readonly type: 'payment'
      readonly index: number
      readonly at: string
      readonly workerId: string
      readonly amount: number
    }
  | { readonly type: 'card'; readonly index: number; readonly name: string }

export interface MeshModels {
  readonly serving: readonly NodeModel[]
  readonly mesh: readonly {
    readonly id: string
    readonly contextTokens: number
    readonly workers: number
    readonly embeddingSize?: number | undefined
  }[]
  readonly library: readonly LibraryModel[]
  readonly seeds: readonly {
    readonly id: string
    readonly hash: string
    readonly state: string
    readonly bytes: number
    readonly peers: number
  }[]
  readonly canPull: boolean
}

export interface LibraryModel {
  readonly id: string
  readonly name: string
  readonly kind: string
  readonly licence: string
  readonly standing: string
  readonly hash: string | null
  readonly bytes: number | null
  readonly quantization: string
  readonly parameters: number | null
  readonly contextTokens: number | null
  readonly state: string
}

export interface PullProgress {
  readonly id: string
  readonly stage: 'resolving' | 'fetching' | 'waiting' | 'verifying'
  readonly source?: string | undefined
  readonly doneBytes: number
  readonly totalBytes?: number | undefined
  readonly bytesPerSecond: number
  readonly etaMs?: number | undefined
}

/** A model that was fetched. */
export interface PulledModel {
  readonly isServed: boolean
}

/** A chunk of OpenAI's stream. */
export interface ChatChunk {
  readonly model?: string
  readonly choices?: readonly {
    readonly delta: { readonly content?: string | undefined }
    readonly finish_reason: string | null
  }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null | undefined
  readonly error?: ErrorBody
}

export interface ErrorBody {
  readonly message: string
  readonly code: string
  readonly qmesh_code: string
  readonly param: string | null
}
