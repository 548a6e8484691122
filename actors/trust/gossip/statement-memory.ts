import type { PeerId } from '../../../protocol/index.ts'
import { limits } from '../../../protocol/index.ts'
import type { FraudProof, ScoreStatement } from '../../../protocol/trust/index.ts'

/** Somebody's words about one score from the same inputs that are not the same. */
export type TwoScores = Extract<FraudProof, { kind: 'two-scores' }>

/**
 * Signed scores that were heard, to catch who computes two from the same inputs. Bounded for each signer, so that one
 * who says much cannot push out what others said.
 */
export class StatementMemory {
  readonly #bySigner = new Map<PeerId, Map<string, ScoreStatement>>()

  /** @param statement with a signature that was checked. @returns the proof, when it contradicts an earlier one. */
  remember(statement: ScoreStatement): TwoScores | undefined {
    const { signerId, accountId, inputDigest } = statement
    const said = this.#bySigner.get(signerId) ?? new Map<string, ScoreStatement>()
    // The signer heard last is the last to be forgotten.
    this.#bySigner.delete(signerId)
    this.#bySigner.set(signerId, said)
    dropOldest(this.#bySigner, limits.statementSignersMax)
    const key = `${accountId}/${inputDigest}`
    const before = said.get(key)
    if (before && before.values.join() !== statement.values.join()) {
      return { kind: 'two-scores', a: before, b: statement }
    }
    said.set(key, statement)
    dropOldest(said, limits.statementsPerSignerMax)
    return undefined
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  const [oldest] = map.keys()
  if (map.size > max && oldest !== undefined) map.delete(oldest)
}
