import fc from 'fast-check'
import { genesisParams } from '../../../machines/trust/params.ts'
import { toPrecedence } from '../../../machines/trust/precedence.ts'
import type { Precedence } from '../../../machines/scheduling/tiers.ts'

/** What a client with so many points has in a queue. */
export const ofScore = (score: number): Precedence => toPrecedence(score, genesisParams)

/** Clients of every tier and of every wait, little contributed as often as much. */
export const contributors: fc.Arbitrary<Precedence> = fc
  .oneof(fc.nat(120), fc.nat(600), fc.nat(4_500), fc.nat(12_000))
  .map(ofScore)
