import type { Tier } from '../../machines/scheduling/index.ts'
import type { ModelHash, PeerId } from '../../protocol/index.ts'

/** What every process of the demo's mesh must know. */
interface Common {
  /** Folder of the whole demo. */
  readonly root: string
  /** Address of the interface to use. */
  readonly host: string
  /** `host:port` */
  readonly bootstrap: string
  readonly secret: string
}

export interface HonestOrder extends Common {
  readonly kind: 'honest'
  readonly dataDir: string
  readonly slots: number
  /** Milliseconds from one token to the next. */
  readonly tokenMs: number
  readonly queueCapacity: number
  readonly tiers: Readonly<Record<PeerId, Tier>>
}

export interface HostileOrder extends Common {
  readonly kind: 'hostile'
  /** Of the model that it pretends to hold. */
  readonly modelHash: ModelHash
}

/** What the demo tells a worker's process to be. */
export type WorkerOrder = HonestOrder | HostileOrder

/** What a worker's process tells the demo. */
export type WorkerReport =
  | { readonly type: 'ready'; readonly id: PeerId }
  /** The hostile one was asked so many times in all. */
  | { readonly type: 'asked'; readonly requests: number }
