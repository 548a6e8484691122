import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameDecoder, limits } from '../../../../protocol/index.ts'
import { encodeHoldings, parseHoldings } from '../../../../protocol/messages/holdings.ts'
import {
  parseScoresMessage,
  scoresLimits,
  type ScoresMessage,
  scoresMessageTypes,
  toScoresObject,
} from '../../../../protocol/messages/scores.ts'
import { encodeProof, offerFormat } from '../../../../protocol/trust/index.ts'
import { makeKeys } from './gossip-rig.ts'
import { makeCard, makeFork, makeHead, makeStatement } from './test-ledger.ts'

const { signer } = makeKeys(1)
const id = signer.id
const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)
// The longest name, and numbers of many digits.
const card = makeCard(signer, {
  name: '\u{1F600}'.repeat(16),
  stampNonce: 2 ** 50,
  createdEpoch: 2 ** 32 - 1,
  seq: 65_535,
})
const head = makeHead(signer, limits.logLengthMax)
const holding = { prefix: id.slice(0, 16), length: 4_000_000_000, mark: 'ffffffff' }
const ban = { accountId: id, epoch: limits.epochMax }

/** One of each type, as long as it may be. */
const longest: readonly ScoresMessage[] = [
  {
    type: 'score-update',
    cards: many(scoresLimits.cardsMax, card),
    heads: many(scoresLimits.headsMax, head),
    known: head,
    isAnswer: true,
  },
  { type: 'score-digest', ranges: many(16, 'f'.repeat(16)), bans: 'f'.repeat(16) },
  {
    type: 'score-heads',
    ranges: many(16, 15),
    held: many(scoresLimits.holdingsMax, holding),
    bans: many(scoresLimits.bansMax, ban),
  },
  {
    type: 'score-pull',
    heads: many(scoresLimits.wantedMax, holding.prefix),
    cards: many(scoresLimits.wantedMax, holding.prefix),
    bans: many(scoresLimits.bansMax, id),
  },
  { type: 'score-request', accountId: id, epoch: limits.epochMax },
  { type: 'score-verify', statement: makeStatement(signer, id, limits.epochMax, Number.MAX_SAFE_INTEGER) },
  {
    type: 'fraud',
    proofs: many(scoresLimits.proofsMax, makeFork(signer, limits.logLengthMax)),
    isAnswer: true,
  },
  { type: 'regime', regime: 'preStorm' },
  {
    type: 'peer-report',
    peers: many(scoresLimits.reportsMax, {
      accountId: id,
      latencyMs: limits.durationMsMax,
      availability: 65_536,
    }),
  },
]

describe('messages of the scores network', () => {
  it.each(longest)('$type survives the wire, as long as it may be', (message) => {
    const frame = encodeFrame(toScoresObject(message))
    expect(frame.length).toBeLessThan(scoresLimits.frameBytesMax)
    const [decoded] = new FrameDecoder().push(frame)
    if (!decoded?.ok) throw new Error('not a frame')
    expect(parseScoresMessage(decoded.value)).toEqual({ kind: 'message', message })
  })

  it('lists every type', () => {
    expect(longest.map(({ type }) => type).toSorted()).toEqual(scoresMessageTypes.toSorted())
  })

  it('says null where a peer holds nothing of ours', () => {
    const message = { type: 'score-update', known: null } as const
    expect(parseScoresMessage(toScoresObject(message))).toEqual({ kind: 'message', message })
  })

  it('has room for the longest proof', () => {
    const offer = offerFormat.sign(signer, {
      requestId: 'f'.repeat(32),
      clientId: id,
      workerId: id,
      modelHash: 'f'.repeat(64),
      promptCommit: 'f'.repeat(64),
      maxOut: limits.outputTokensMax,
      samplingId: 2,
      seed: Number.MAX_SAFE_INTEGER,
      maxPrice: limits.priceMax,
      epoch: limits.epochMax,
      spendSeq: Number.MAX_SAFE_INTEGER,
      balanceAfter: -limits.priceMax,
      headLength: limits.logLengthMax,
      headHash: 'f'.repeat(32),
      resumed: limits.outputTokensMax,
      flags: { isAuditable: true, isPrivate: true, isStreaming: true, isGratis: true },
      effortNonce: 'f'.repeat(16),
    })
    const proofs = [
      encodeProof({ kind: 'double-spend', a: offer, b: offer }),
      encodeProof({ kind: 'two-cards', a: card, b: card }),
    ]
    for (const bytes of proofs) {
      expect(bytes.toString('base64').length).toBeLessThanOrEqual(limits.evidenceCharsMax)
    }
  })

  it('drops fields of later versions and ignores types of later versions', () => {
    expect(parseScoresMessage({ type: 'regime', regime: 'calm', weather: 'fine' })).toEqual({
      kind: 'message',
      message: { type: 'regime', regime: 'calm' },
    })
    expect(parseScoresMessage({ type: 'score-poem' })).toEqual({ kind: 'unknown' })
    expect(parseScoresMessage({ type: 'toString' })).toEqual({ kind: 'unknown' })
  })

  it.each([null, 7, 'x', [], {}, { type: 7 }])('refuses %j', (value) => {
    expect(parseScoresMessage(value).kind).toBe('invalid')
  })

  it('reads lists of holdings only when they are whole', () => {
    const bytes = encodeHoldings([holding, holding])
    expect(parseHoldings(bytes)).toEqual([holding, holding])
    expect(parseHoldings(bytes.subarray(1))).toBeUndefined()
  })
})
