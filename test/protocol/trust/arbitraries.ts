import fc from 'fast-check'
import { limits } from '../../../protocol/index.ts'
import {
  type Ack,
  type Head,
  type IdentityCard,
  type Offer,
  type Result,
  type ScoreStatement,
  toName,
} from '../../../protocol/trust/index.ts'

/** Every value that an encoding has to hold, its bounds included. They are not signed: only their form is at stake. */
const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((part) => Buffer.from(part).toString('hex'))
const upTo = (max: number) => fc.oneof(fc.constantFrom(0, max), fc.integer({ min: 0, max }))
const safe = fc.oneof(fc.constantFrom(0, 127, 128, Number.MAX_SAFE_INTEGER), fc.maxSafeNat())
const epoch = upTo(limits.epochMax)
const price = upTo(limits.priceMax)
const tokens = upTo(limits.outputTokensMax)
const ms = upTo(limits.durationMsMax)
const name = fc.string({ unit: 'binary', maxLength: 40 }).map(toName)
const signature = hex(64)

export const offers: fc.Arbitrary<Offer> = fc.record({
  requestId: hex(16),
  clientId: hex(32),
  workerId: hex(32),
  modelHash: hex(32),
  promptCommit: hex(32),
  maxOut: tokens,
  samplingId: upTo(2),
  seed: safe,
  maxPrice: price,
  epoch,
  spendSeq: safe,
  balanceAfter: fc.oneof(fc.constantFrom(2 ** 51, -(2 ** 51), 0, -1, 1), fc.integer()),
  headLength: upTo(limits.logLengthMax),
  headHash: hex(16),
  resumed: tokens,
  flags: fc.record({
    isAuditable: fc.boolean(),
    isPrivate: fc.boolean(),
    isStreaming: fc.boolean(),
    isGratis: fc.boolean(),
  }),
  effortNonce: fc.oneof(fc.constant(''), hex(8)),
  signature,
})

export const results: fc.Arbitrary<Result> = fc.record({
  offerHash: hex(32),
  outputCommit: hex(32),
  nIn: upTo(limits.contextTokensMax),
  nOut: tokens,
  finish: fc.constantFrom('stop', 'length', 'stop-string', 'partial'),
  firstTokenMs: ms,
  totalMs: ms,
  price,
  execProfile: upTo(255),
  epoch,
  signature,
})

export const acks: fc.Arbitrary<Ack> = fc.record({
  offerHash: hex(32),
  kind: fc.constantFrom('tick', 'closing', 'final'),
  received: tokens,
  resultHash: fc.oneof(fc.constant(''), hex(32)),
  clientMs: ms,
  epoch,
  signature,
})

export const receipts = fc.record({ offer: offers, result: results, ack: fc.option(acks) })

export const cards: fc.Arbitrary<IdentityCard> = fc.record({
  accountId: hex(32),
  logKey: hex(32),
  vrfKey: hex(32),
  roles: upTo(15),
  createdEpoch: epoch,
  seq: upTo(65_535),
  name,
  stampNonce: safe,
  signature,
})

export const heads: fc.Arbitrary<Head> = fc.record({
  accountId: hex(32),
  epoch,
  length: upTo(limits.logLengthMax),
  treeHash: hex(32),
  signature,
})

export const statements: fc.Arbitrary<ScoreStatement> = fc.record({
  accountId: hex(32),
  epoch,
  inputDigest: hex(32),
  values: fc.array(safe, { minLength: 5, maxLength: 5 }),
  signerId: hex(32),
  signature,
})

export const entries = fc.oneof(
  fc.record({ type: fc.constant('card' as const), card: cards }),
  fc.record({ type: fc.constant('receipt' as const), epoch, receipt: receipts }),
  fc.record({
    type: fc.constant('paid' as const),
    epoch,
    workerId: hex(32),
    requestId: hex(16),
    spendSeq: safe,
    amount: upTo(2 * limits.priceMax),
  }),
)

export const proofs = fc.oneof(
  fc.record({ kind: fc.constant('fork' as const), a: heads, b: heads }),
  fc.record({ kind: fc.constant('two-cards' as const), a: cards, b: cards }),
  fc.record({ kind: fc.constant('double-spend' as const), a: offers, b: offers }),
  fc.record({ kind: fc.constant('two-scores' as const), a: statements, b: statements }),
)
