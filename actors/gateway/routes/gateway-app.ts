import type { GatewayPort } from '../gateway.port.ts'
import type { Meter } from '../meter.ts'
import type { GatewayLimits, GatewaySettings } from '../settings.ts'

/** What every route of the gateway has at hand. */
export interface GatewayApp {
  readonly port: GatewayPort
  readonly meter: Meter
  readonly settings: GatewaySettings
  readonly limits: GatewayLimits
  /** The gateway is about to close: nothing new is begun. */
  readonly isDraining: () => boolean
}
