import type { PeerId } from '../ids.ts'
import { ByteReader, ByteWriter, malformed } from './bytes.ts'
import { cardFormat, type IdentityCard, isCardValid } from './card.ts'
import type { Format } from './codec.ts'
import { type Head, headFormat, isHeadValid } from './head.ts'
import { checkOffer, type Offer, offerFormat } from './receipt.ts'
import { isStatementValid, type ScoreStatement, scoreStatementFormat } from './score-statement.ts'
import { hash256, type NetworkId } from './signing.ts'

/**
 * Two things that one account signed and that no honest one signs both. Whoever holds a proof can check it alone, so
 * nobody has to be believed.
 */
export type FraudProof =
  /** Two logs of the same length. */
  | { readonly kind: 'fork'; readonly a: Head; readonly b: Head }
  /** Two cards with the same number, or with two logs: an account has one log as long as it lives. */
  | { readonly kind: 'two-cards'; readonly a: IdentityCard; readonly b: IdentityCard }
  /** One promise made twice. */
  | { readonly kind: 'double-spend'; readonly a: Offer; readonly b: Offer }
  /** Two scores computed from the same. */
  | { readonly kind: 'two-scores'; readonly a: ScoreStatement; readonly b: ScoreStatement }

export type FraudKind = FraudProof['kind']

interface KindTerms<Thing> {
  readonly code: number
  readonly format: Format<Thing>
  readonly guilty: (thing: Thing) => PeerId
  readonly epoch: (thing: Thing) => number
  readonly isSound: (thing: Thing, networkId: NetworkId) => boolean
  /** Whether no honest account signs both, given that they are not the same. */
  readonly isContradiction: (a: Thing, b: Thing) => boolean
  readonly toHash: (thing: Thing, networkId: NetworkId) => string
}

const kinds: {
  readonly [Kind in FraudKind]: KindTerms<Extract<FraudProof, { kind: Kind }>['a']>
} = {
  fork: {
    code: 1,
    format: headFormat,
    guilty: ({ accountId }) => accountId,
    epoch: ({ epoch }) => epoch,
    isSound: isHeadValid,
    isContradiction: (a, b) => a.length === b.length && a.treeHash !== b.treeHash,
    toHash: headFormat.toHash,
  },
  'two-cards': {
    code: 2,
    format: cardFormat,
    guilty: ({ accountId }) => accountId,
    epoch: ({ createdEpoch }) => createdEpoch,
    isSound: isCardValid,
    isContradiction: (a, b) => a.seq === b.seq || a.logKey !== b.logKey,
    toHash: cardFormat.toHash,
  },
  'double-spend': {
    code: 3,
    format: offerFormat,
    guilty: ({ clientId }) => clientId,
    epoch: ({ epoch }) => epoch,
    isSound: (offer, networkId) => checkOffer(offer, networkId) === undefined,
    isContradiction: (a, b) => a.spendSeq === b.spendSeq,
    toHash: offerFormat.toHash,
  },
  'two-scores': {
    code: 4,
    format: scoreStatementFormat,
    guilty: ({ signerId }) => signerId,
    epoch: ({ epoch }) => epoch,
    isSound: isStatementValid,
    isContradiction: (a, b) =>
      a.accountId === b.accountId && a.inputDigest === b.inputDigest && a.values.join() !== b.values.join(),
    toHash: scoreStatementFormat.toHash,
  },
}

const termsOf = (kind: FraudKind): KindTerms<FraudProof['a']> =>
  kinds[kind] as unknown as KindTerms<FraudProof['a']>

/** @throws QMeshError `QM_EVIDENCE_INVALID` */
export function encodeProof({ kind, a, b }: FraudProof): Buffer {
  const { code, format } = termsOf(kind)
  const to = new ByteWriter().uint(code, 1)
  for (const thing of [a, b]) {
    const bytes = format.encode(thing)
    to.varint(bytes.length).bytes(bytes)
  }
  return to.toBuffer()
}

/** @throws QMeshError `QM_EVIDENCE_INVALID` */
export function decodeProof(bytes: Uint8Array): FraudProof {
  const from = new ByteReader(bytes)
  const code = from.uint(1)
  const kind = (Object.keys(kinds) as FraudKind[]).find((name) => kinds[name].code === code)
  if (!kind) throw malformed('a proof has a kind that is not known')
  const { format } = termsOf(kind)
  const [a, b] = [format.decode(from.bytes(from.varint())), format.decode(from.bytes(from.varint()))]
  from.end()
  return { kind, a, b } as FraudProof
}

/** Whom a proof names, and how its two things are dated by that one itself. Nothing of it is checked. */
export function toGuilty({ kind, a, b }: FraudProof): { readonly guilty: PeerId; readonly epoch: number } {
  const { guilty, epoch } = termsOf(kind)
  return { guilty: guilty(a), epoch: Math.max(epoch(a), epoch(b)) }
}

/** Who is guilty, and since which epoch, by what the guilty one signed; undefined when it proves nothing. Never throws. */
export function checkProof(
  { kind, a, b }: FraudProof,
  networkId: NetworkId,
): { readonly guilty: PeerId; readonly epoch: number } | undefined {
  const { guilty, epoch, isSound, isContradiction, toHash } = termsOf(kind)
  const isProof =
    guilty(a) === guilty(b) &&
    isContradiction(a, b) &&
    isSound(a, networkId) &&
    isSound(b, networkId) &&
    toHash(a, networkId) !== toHash(b, networkId)
  return isProof ? { guilty: guilty(a), epoch: Math.max(epoch(a), epoch(b)) } : undefined
}

/** Names a proof, whichever of its two things comes first: 32 bytes in hex. */
export function toProofId({ kind, a, b }: FraudProof): string {
  const { code, format } = termsOf(kind)
  // Both things have a version and all their lengths in them, so nothing can slide from one into the next.
  const things = [format.encode(a), format.encode(b)].toSorted((one, other) => Buffer.compare(one, other))
  return hash256(Uint8Array.of(code), ...things).toString('hex')
}
