import { z } from 'zod'
import { creditReportSchema, scoreReportSchema, scoreRowSchema } from '../../trust/reports.ts'
import { defineCommand } from '../command.ts'

const last = z.number().int().min(1).max(10_000).optional()

/** Every account this node knows, the highest score first. */
export const scoresCommand = defineCommand({
  args: z.object({}),
  result: z.array(scoreRowSchema).readonly(),
  run: async ({ port }) => port.scores(),
})

export const whyScoreCommand = defineCommand({
  args: z.object({
    /** An account's id or its beginning; absent, the node's own. */
    id: z.string().min(1).max(64).optional(),
    /** Entries of its log to show. */
    last,
  }),
  result: scoreReportSchema,
  run: async ({ port }, { id, last }) => port.whyScore(id, last),
})

export const creditCommand = defineCommand({
  args: z.object({ last }),
  result: creditReportSchema,
  run: async ({ port }, { last }) => port.credit(last),
})
