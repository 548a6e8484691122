import { z } from 'zod'
import { tiers } from '../../machines/scheduling/index.ts'
import { peerIdSchema } from '../../protocol/index.ts'

const number = z.number()
const count = z.number().int().min(0)
const points = z.number().min(0)

/** An account as the leaderboard shows it. */
export const scoreRowSchema = z.object({
  id: peerIdSchema,
  /** Chosen by its owner, and no proof of anything. */
  name: z.string().optional(),
  isSelf: z.boolean(),
  tier: z.enum(tiers),
  /** Milliseconds that its paid requests go ahead of a newcomer's that came at the same time. */
  headStartMs: count,
  /** Whole points. */
  score: count,
  /** 0 to 1: what audits say of it. */
  reputation: number,
  /** Answers in its log, and payments. */
  receipts: count,
  payments: count,
  /** Entries of its log that were read here, and entries that there are. */
  read: count,
  length: count,
  /** Credits that it may spend, below zero down to `-line`. */
  balance: number,
  line: number,
  /** Why it is banned; absent when it is not. */
  banned: z.string().optional(),
})
export type ScoreRow = z.infer<typeof scoreRowSchema>

/** One kind of evidence: what it adds up to, the most that one client may add, and what is left under that. */
const cappedSchema = z.object({ raw: points, clientCap: points, counted: points })

const entrySchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('receipt'),
    index: count,
    at: z.string(),
    receiptId: z.string(),
    clientId: peerIdSchema,
    speed: count,
    complexity: count,
    quality: count,
    funding: z.enum(['funded', 'unfunded', 'gratis']),
    /** 0 to 1: less for what is sampled, private, unpaid or not signed to its end. */
    weight: number,
    /** Points times weight. */
    worth: points,
    tokens: count,
    milliseconds: count,
    /** Credits earned. */
    price: number,
    /** Whether the client signed the end. */
    isSigned: z.boolean(),
  }),
  z.object({
    type: z.literal('payment'),
    index: count,
    at: z.string(),
    requestId: z.string(),
    workerId: peerIdSchema,
    /** Credits, the burned part included. */
    amount: number,
  }),
  z.object({ type: z.literal('card'), index: count, name: z.string() }),
])
export type HistoryEntry = z.infer<typeof entrySchema>

/** Where an account's score comes from. */
export const scoreReportSchema = scoreRowSchema.extend({
  epoch: count,
  /** Receipts that count, that a ban voids, that are not final yet, and that are too old. */
  counts: z.object({ counted: count, void: count, pending: count, expired: count }),
  funded: cappedSchema,
  unfunded: cappedSchema,
  /** Absent where the mesh has no such cap. */
  unfundedCap: points.optional(),
  achievements: z.array(z.object({ id: z.string(), why: z.string(), points })),
  /** The sum before audits, and the part of it that counts without them: 0 to 1. */
  raw: points,
  escrow: number,
  /**
   * What came of asking witnesses for their word about the score at an epoch: how many were asked, answered, and
   * computed the same from the same inputs as this node. Absent until somebody was asked.
   */
  witnesses: z
    .object({
      epoch: count,
      outcome: z.enum(['fork', 'contradiction', 'accepted', 'exchange', 'provisional', 'unknown']),
      asked: count,
      answered: count,
      agreed: count,
    })
    .optional(),
  /** How rough it looks to this node, or to a connected peer by its own word. */
  regime: z.enum(['calm', 'preStorm', 'storm']).optional(),
  /** How it answers on the scores network, by what everybody reports; absent where nobody does. */
  standing: z
    .object({
      latencyMs: count,
      /** 0 to 1. */
      availability: number,
      /** Nodes whose word is in it. */
      reporters: count,
    })
    .optional(),
  /** The log is dated in the future, so nothing of it counts yet. */
  isAhead: z.boolean(),
  clients: z.array(
    z.object({
      id: peerIdSchema,
      name: z.string().optional(),
      receipts: count,
      raw: points,
      counted: points,
    }),
  ),
  faults: z.array(z.object({ index: count, code: z.string(), why: z.string() })),
  /** The latest first. */
  entries: z.array(entrySchema),
})
export type ScoreReport = z.infer<typeof scoreReportSchema>

/** What an account may spend, in credits. */
export const creditReportSchema = z.object({
  id: peerIdSchema,
  balance: number,
  line: number,
  /** What can be promised now: balance and line, less what is promised for answers that are not complete. */
  available: number,
  earned: number,
  /** Earned and not to be spent yet. */
  pending: number,
  paid: number,
  burned: number,
  /** The latest first: what was earned and paid. */
  entries: z.array(entrySchema),
})
export type CreditReport = z.infer<typeof creditReportSchema>
