export { defaultGatewayTimings, gatewayMachine } from './gateway.machine.ts'
export type {
  GatewayAddress,
  GatewayCommand,
  GatewayEmitted,
  GatewayFact,
  GatewayInput,
  GatewayOrder,
  GatewayTimings,
} from './gateway.machine.ts'
