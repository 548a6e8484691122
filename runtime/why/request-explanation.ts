import { z } from 'zod'
import {
  errorCodes,
  modelHashSchema,
  modelIdSchema,
  peerIdSchema,
  requestIdSchema,
} from '../../protocol/index.ts'

const number = z.number().min(0)
const word = z.string().max(64)

/** Workers whose part in one choice is told; a node knows fewer, unless a limit was raised. */
export const reasonsMax = 100

const choiceSchema = z.object({
  /** Null when nobody was chosen. */
  workerId: peerIdSchema.nullable(),
  /** `best`: alone at the top; `band`: drawn among the best; `affinity`: it knows the conversation; `trial`: to get to know it. */
  manner: word.nullable(),
  /** Of the draw. */
  seed: z.number(),
  /** Workers that were known. */
  known: z.number().int().min(0),
  /** Each one's part in the choice, the best first, those that were out last. */
  reasons: z
    .array(
      z.union([
        z.object({ workerId: peerIdSchema, rejected: word }),
        z.object({
          workerId: peerIdSchema,
          modelId: modelIdSchema,
          standing: word,
          group: word,
          score: z.number(),
          terms: z.object({
            health: z.number(),
            responsiveness: z.number(),
            performance: z.number(),
            queueAvailability: z.number(),
            queued: z.number(),
            loadMs: number.optional(),
            effortBits: number.optional(),
            effortMs: number.optional(),
          }),
        }),
      ]),
    )
    .max(reasonsMax),
  /** Whether the same choice comes out again from what is kept of it; present when that was asked for. */
  isReproduced: z.boolean().optional(),
})

const attemptSchema = z.object({
  workerId: peerIdSchema,
  modelId: modelIdSchema,
  modelHash: modelHashSchema,
  /** Milliseconds after the question at which it began. */
  atMs: number,
  /** Tokens it gave. */
  tokens: number,
  /** Work that the worker asked for: zero bits, and the milliseconds it took; without them while it goes on. */
  effort: z.object({ bits: number, ms: number.optional() }).optional(),
  /** Its place in the worker's queue as it was told first. */
  queued: z.object({ position: number, etaMs: number }).optional(),
  /** Milliseconds from its beginning to its first token, and to its end. */
  firstTokenMs: number.optional(),
  totalMs: number.optional(),
  /**
   * It went on with an answer that another worker had begun: after so many tokens, and so long a silence. `resume: 'text'`:
   * from its text, because the model is opaque.
   */
  handover: z.object({ afterTokens: number, gapMs: number, resume: z.literal('text').optional() }).optional(),
  /** Why it ended; absent for the one that answered, and while it runs. */
  code: z.enum(errorCodes).optional(),
  message: z.string().optional(),
  choice: choiceSchema.optional(),
})

/** One request of this node, in a line. */
export const requestSummarySchema = z.object({
  requestId: requestIdSchema,
  /** When it was asked, as a UTC timestamp. */
  askedAt: z.string().max(32),
  state: z.enum(['open', 'answered', 'failed']),
  /** Absent when any model would do. */
  model: modelIdSchema.optional(),
  /** It asked for embeddings: what it got is vectors, and no token. Absent for one that asked for an answer. */
  embedding: z.literal(true).optional(),
  localOnly: z.boolean(),
  /** Who has it, or had it last; absent before the first try. */
  workerId: peerIdSchema.optional(),
  /** Workers tried. */
  tries: number,
  handovers: number,
  tokens: number,
  /** Milliseconds from the question to the end. */
  totalMs: number.optional(),
  code: z.enum(errorCodes).optional(),
  message: z.string().optional(),
})

/** Why a request went where it went, and how it ended: what `why` answers, in code and on the command line. */
export const requestExplanationSchema = requestSummarySchema.extend({
  /** The latest ones; `tries` counts all. */
  attempts: z.array(attemptSchema),
  /** The last look at the workers that found nobody, unless somebody was found after it. */
  search: choiceSchema.optional(),
})

export type RequestSummary = z.infer<typeof requestSummarySchema>
export type RequestExplanation = z.infer<typeof requestExplanationSchema>
export type AttemptExplanation = z.infer<typeof attemptSchema>
export type ChoiceExplanation = z.infer<typeof choiceSchema>

export interface WhyOptions {
  /** Makes every choice again from what is kept of it, and says whether it comes out the same. */
  readonly replay?: boolean | undefined
}
