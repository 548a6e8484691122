import { z } from 'zod'
import { peerIdSchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { cardFormat } from '../trust/card.ts'
import type { Format } from '../trust/codec.ts'
import { headFormat } from '../trust/head.ts'
import { decodeProof, encodeProof } from '../trust/proof.ts'
import { scoreStatementFormat } from '../trust/score-statement.ts'
import { encodeHoldings, type Holding, holdingBytes, parseHoldings } from './holdings.ts'
import { type Parsed, parseMessage } from './parse-message.ts'

/** Bounds of one message of the scores network; `protocol/limits.ts` says what each is. */
export const scoresLimits = {
  frameBytesMax: limits.scoresFrameBytesMax,
  cardsMax: limits.scoresCardsMax,
  headsMax: limits.scoresHeadsMax,
  proofsMax: limits.scoresProofsMax,
  holdingsMax: limits.scoresHoldingsMax,
  wantedMax: limits.scoresWantedMax,
  bansMax: limits.scoresBansMax,
  reportsMax: limits.scoresReportsMax,
  /** Ranges of account ids that are compared apart: by their first hex character. */
  ranges: 16,
} as const

const base64 = /^[A-Za-z0-9+/]+={0,2}$/
const charsOf = (bytes: number): number => 4 * Math.ceil(bytes / 3)

/** Something signed: base64 of its canonical encoding on the wire, checked for form but not for its signature. */
const signed = <Value>(format: Format<Value>) =>
  z.codec(z.string().max(limits.evidenceCharsMax).regex(base64), z.custom<Value>(), {
    decode: (text, context) => {
      try {
        return format.decode(Buffer.from(text, 'base64'))
      } catch (error) {
        const message = error instanceof Error ? error.message : 'not readable'
        context.issues.push({ code: 'custom', input: text, message })
        return z.NEVER
      }
    },
    encode: (value) => format.encode(value).toString('base64'),
  })

const epoch = z.number().int().min(0).max(limits.epochMax)
const card = signed(cardFormat)
const head = signed(headFormat)
const proof = signed({ encode: encodeProof, decode: decodeProof })
const range = z
  .number()
  .int()
  .min(0)
  .max(scoresLimits.ranges - 1)
const digest = z.string().regex(/^[0-9a-f]{16}$/)
const prefix = digest

const holdings = z.codec(
  z
    .string()
    .max(charsOf(scoresLimits.holdingsMax * holdingBytes))
    .regex(/^[A-Za-z0-9+/]*={0,2}$/),
  z.custom<readonly Holding[]>(),
  {
    decode: (text, context) => {
      const found = parseHoldings(Buffer.from(text, 'base64'))
      if (found) return found
      context.issues.push({ code: 'custom', input: text, message: 'a list of holdings has half an entry' })
      return z.NEVER
    },
    encode: (list) => encodeHoldings(list).toString('base64'),
  },
)

const banRef = z.object({ accountId: peerIdSchema, epoch })
/** Names a ban by whom it hits. The epoch is how its evidence is dated by the guilty one itself: nothing depends on it. */
export type BanRef = z.infer<typeof banRef>

/** What is new, or what was asked for. */
export const scoreUpdateSchema = z.object({
  type: z.literal('score-update'),
  cards: z.array(card).max(scoresLimits.cardsMax).optional(),
  heads: z.array(head).max(scoresLimits.headsMax).optional(),
  /**
   * Once, on opening: the receiver's own latest head that the sender holds, or null when it holds none. A node that
   * was restored from a backup learns by it that it has been further.
   */
  known: head.nullable().optional(),
  /** The receiver asked for these, so they are news to nobody else. */
  isAnswer: z.boolean().optional(),
})
export type ScoreUpdate = z.infer<typeof scoreUpdateSchema>

/** Opens a round: what I hold, as one digest a range of account ids. Whoever holds something else says `score-heads`. */
export const scoreDigestSchema = z.object({
  type: z.literal('score-digest'),
  ranges: z.array(digest).length(scoresLimits.ranges),
  bans: digest,
})
export type ScoreDigest = z.infer<typeof scoreDigestSchema>

/**
 * What I hold in the ranges that differ, all of it: send what is longer or missing, ask for what you lack. Without
 * ranges: these heads are new to me, ask if you want them.
 */
export const scoreHeadsSchema = z.object({
  type: z.literal('score-heads'),
  ranges: z.array(range).max(scoresLimits.ranges),
  held: holdings,
  /** Absent when the bans do not differ. */
  bans: z.array(banRef).max(scoresLimits.bansMax).optional(),
})
export type ScoreHeads = z.infer<typeof scoreHeadsSchema>

/** Send me these: accounts by the first 8 bytes of their ids. */
export const scorePullSchema = z.object({
  type: z.literal('score-pull'),
  heads: z.array(prefix).max(scoresLimits.wantedMax),
  cards: z.array(prefix).max(scoresLimits.wantedMax),
  bans: z.array(peerIdSchema).max(scoresLimits.bansMax),
})
export type ScorePull = z.infer<typeof scorePullSchema>

/** What is this account's score at this epoch, by your reckoning? Answered by `score-verify`, or not at all. */
export const scoreRequestSchema = z.object({
  type: z.literal('score-request'),
  accountId: peerIdSchema,
  epoch,
})
export type ScoreRequest = z.infer<typeof scoreRequestSchema>

export const scoreVerifySchema = z.object({
  type: z.literal('score-verify'),
  statement: signed(scoreStatementFormat),
})
export type ScoreVerify = z.infer<typeof scoreVerifySchema>

/** Somebody contradicted itself, and this is the proof. Passed on at once. */
export const fraudSchema = z.object({
  type: z.literal('fraud'),
  proofs: z.array(proof).max(scoresLimits.proofsMax),
  /** See `ScoreUpdate`. */
  isAnswer: z.boolean().optional(),
})
export type Fraud = z.infer<typeof fraudSchema>

/** How rough it looks to me; on opening unless it is calm, and on change. The connection says whose word it is. */
export const regimeSchema = z.object({
  type: z.literal('regime'),
  regime: z.enum(['calm', 'preStorm', 'storm']),
})
export type RegimeVote = z.infer<typeof regimeSchema>

/** How other nodes answer me on the scores network, as I saw it lately. Goes with a round; of each node the latest counts. */
export const peerReportSchema = z.object({
  type: z.literal('peer-report'),
  peers: z
    .array(
      z.object({
        accountId: peerIdSchema,
        latencyMs: z.number().int().min(0).max(limits.durationMsMax),
        /** Of what was asked, the share that was answered: 0 to 65,536. */
        availability: z.number().int().min(0).max(65_536),
      }),
    )
    .max(scoresLimits.reportsMax),
})
export type PeerReport = z.infer<typeof peerReportSchema>

export type ScoresMessage =
  | ScoreUpdate
  | ScoreDigest
  | ScoreHeads
  | ScorePull
  | ScoreRequest
  | ScoreVerify
  | Fraud
  | RegimeVote
  | PeerReport

const schemas = {
  'score-update': scoreUpdateSchema,
  'score-digest': scoreDigestSchema,
  'score-heads': scoreHeadsSchema,
  'score-pull': scorePullSchema,
  'score-request': scoreRequestSchema,
  'score-verify': scoreVerifySchema,
  fraud: fraudSchema,
  regime: regimeSchema,
  'peer-report': peerReportSchema,
} as const

export const scoresMessageTypes = Object.keys(schemas) as (keyof typeof schemas)[]

/** Checks one decoded frame against its schema; signatures are not checked. Never throws. Unknown fields are dropped. */
export const parseScoresMessage = (value: unknown): Parsed<ScoresMessage> => parseMessage(schemas, value)

/**
 * The object that `encodeFrame` turns into a frame.
 *
 * @throws when the message does not fit its own schema: a defect of ours
 */
export function toScoresObject(message: ScoresMessage): object {
  const schema: z.ZodType<ScoresMessage> = schemas[message.type]
  return z.encode(schema, message) as object
}
