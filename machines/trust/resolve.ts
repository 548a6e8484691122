import type { PeerId } from '../../protocol/index.ts'
import type { Head, ScoreStatement } from '../../protocol/trust/index.ts'
import { aggregate } from './aggregate.ts'
import { findFork, type ForkProof } from './fork.ts'
import type { Regime } from './regime.ts'

/** What became known about one account's score at one epoch. All signatures are checked already. */
export interface ResolveInput {
  readonly accountId: PeerId
  readonly epoch: number
  /** Everybody who was asked, this node included where it computed the score: silence must not make others weightier. */
  readonly asked: readonly { readonly witnessId: PeerId; readonly influence: number }[]
  /** Of one witness the last one counts. Those of others than the asked ones, and about something else, are left out. */
  readonly statements: readonly ScoreStatement[]
  /** What this node computed itself from a log it checked. */
  readonly own?: ScoreStatement
  /** Heads of the account that came along. */
  readonly heads?: readonly Head[]
  /** Times that logs and proofs were exchanged already. */
  readonly exchanges: number
  readonly regime: Regime
}

/** Those who computed from the same. */
export interface DigestGroup {
  readonly inputDigest: string
  readonly signers: readonly PeerId[]
  readonly influence: number
}

export type Resolution =
  /** The account shows different logs to different peers. */
  | { readonly kind: 'fork'; readonly proof: ForkProof }
  /**
   * Two scores from the same inputs: somebody lies. `wrong` lie for certain: leave them out of `asked` and resolve again.
   * It is empty when only computing the score decides: get the log, and count that as an exchange whether it worked or not.
   */
  | {
      readonly kind: 'contradiction'
      readonly a: ScoreStatement
      readonly b: ScoreStatement
      readonly wrong: readonly PeerId[]
    }
  | {
      readonly kind: 'accepted'
      readonly inputDigest: string
      readonly values: readonly number[]
      readonly signers: readonly PeerId[]
    }
  /** Somebody knows more than others: get heads, logs and proofs from one of each group, the weightiest first. */
  | { readonly kind: 'exchange'; readonly groups: readonly DigestGroup[] }
  /** Good for ordering requests until the next round, never for a ban. */
  | { readonly kind: 'provisional'; readonly values: readonly number[] }
  /** Nobody who was asked said anything. */
  | { readonly kind: 'unknown' }

/** Signers that it takes to believe a score that this node did not compute. */
export const signersMin = 5
/** Times that it is worth exchanging what differs. */
export const exchangesMax = 3

/**
 * What to make of several peers' words about one score. Nothing that can be recomputed is voted on: a score that this
 * node computed itself is never overruled by others, they can only show it a longer log. Without one it takes half of
 * the influence of those asked and five signers, or else a robust mean stands in.
 */
export function resolve(input: ResolveInput): Resolution {
  const { accountId, epoch, own } = input
  const proof = findFork((input.heads ?? []).filter((head) => head.accountId === accountId))
  if (proof) return { kind: 'fork', proof }

  const influences = new Map(input.asked.map(({ witnessId, influence }) => [witnessId, influence]))
  const statements = input.statements.filter(
    (statement) =>
      statement.accountId === accountId && statement.epoch === epoch && influences.has(statement.signerId),
  )
  const lie = findTwoTongues(statements) ?? (own && findLie(statements, own))
  if (lie) return lie

  const latest = new Map(statements.map((statement) => [statement.signerId, statement]))
  if (own) latest.set(own.signerId, own)
  // By signer, so that nothing depends on who was faster.
  const said = [...latest.values()].toSorted((a, b) => compare(a.signerId, b.signerId))
  const groups = toGroups(said, influences)
  const [heaviest] = groups
  if (!heaviest) return { kind: 'unknown' }

  if (isEnough(groups, sumOf([...influences.values()]), own)) {
    const { inputDigest, signers } = heaviest
    const [first, ...others] = said.filter((statement) => statement.inputDigest === inputDigest)
    if (first && others.every((other) => isSame(first, other)))
      return { kind: 'accepted', inputDigest, values: first.values, signers }
  }
  if (input.exchanges < exchangesMax) {
    const contradiction = findContradiction(said, groups)
    if (contradiction) return contradiction
    if (groups.length > 1) return { kind: 'exchange', groups }
  }
  if (own) return { kind: 'provisional', values: own.values }
  const reports = said.map(({ signerId, values }) => ({
    reporterId: signerId,
    values,
    influence: influences.get(signerId) ?? 0,
  }))
  return { kind: 'provisional', values: aggregate(reports, input.regime) }
}

/** Whether the heaviest group may be believed, provided that it agrees in itself. */
function isEnough(groups: readonly DigestGroup[], askedInfluence: number, own?: ScoreStatement): boolean {
  const [heaviest, second] = groups
  // A tie decides nothing.
  if (!heaviest || heaviest.influence === second?.influence) return false
  const isHalf = askedInfluence > 0 && 2 * heaviest.influence >= askedInfluence
  if (own) return heaviest.inputDigest === own.inputDigest && (isHalf || second === undefined)
  return isHalf && heaviest.signers.length >= signersMin
}

/** The heaviest first, of equals the lower digest. */
function toGroups(
  said: readonly ScoreStatement[],
  influences: ReadonlyMap<PeerId, number>,
): readonly DigestGroup[] {
  const digests = [...new Set(said.map(({ inputDigest }) => inputDigest))]
  return digests
    .map((inputDigest) => {
      const signers = said
        .filter((statement) => statement.inputDigest === inputDigest)
        .map(({ signerId }) => signerId)
      return { inputDigest, signers, influence: sumOf(signers.map((id) => influences.get(id) ?? 0)) }
    })
    .toSorted((a, b) => b.influence - a.influence || compare(a.inputDigest, b.inputDigest))
}

/** One signer, one input, two scores: a proof by itself. */
function findTwoTongues(statements: readonly ScoreStatement[]): Resolution | undefined {
  const seen = new Map<string, ScoreStatement>()
  for (const statement of statements) {
    const key = `${statement.signerId}/${statement.inputDigest}`
    const before = seen.get(key)
    if (before && !isSame(before, statement))
      return { kind: 'contradiction', a: before, b: statement, wrong: [statement.signerId] }
    seen.set(key, statement)
  }
  return undefined
}

/** Who says something else about the very inputs from which this node computed the score. */
function findLie(statements: readonly ScoreStatement[], own: ScoreStatement): Resolution | undefined {
  const wrong = statements.filter(
    (statement) => statement.inputDigest === own.inputDigest && !isSame(statement, own),
  )
  const [first] = wrong
  if (!first) return undefined
  const ids = [...new Set(wrong.map(({ signerId }) => signerId))].toSorted(compare)
  return { kind: 'contradiction', a: own, b: first, wrong: ids }
}

/** Two who computed something else from the same, in the heaviest group that has such. */
function findContradiction(
  said: readonly ScoreStatement[],
  groups: readonly DigestGroup[],
): Resolution | undefined {
  for (const { inputDigest } of groups) {
    const [a, ...others] = said.filter((statement) => statement.inputDigest === inputDigest)
    const b = a && others.find((other) => !isSame(a, other))
    if (a && b) return { kind: 'contradiction', a, b, wrong: [] }
  }
  return undefined
}

const isSame = (a: ScoreStatement, b: ScoreStatement): boolean => a.values.join() === b.values.join()

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
