import type { PeerId } from '../../../protocol/index.ts'
import type { ModelsChannel } from './models-channel.ts'

/** A peer with whom models are talked about. */
export interface Link {
  readonly peerId: PeerId
  readonly channel: ModelsChannel
}
