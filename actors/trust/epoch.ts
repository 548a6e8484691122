import type { TrustParams } from '../../machines/trust/index.ts'

/** The epoch at this time, in milliseconds since 1970. */
export const toEpoch = (wallMs: number, { epochSeconds }: TrustParams): number =>
  Math.max(0, Math.floor(wallMs / 1_000 / epochSeconds))
