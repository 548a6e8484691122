export type { PeerPorts } from '../peer/peer-ports.ts'
export * from './bootstrap.ts'
export * from './create-swarm.ts'
export {
  type Advertisement,
  type NodeAddress,
  parseNodeAddress,
  type SwarmSettings,
  toBindHost,
} from './settings.ts'
