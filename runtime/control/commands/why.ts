import { z } from 'zod'
import { requestExplanationSchema, requestSummarySchema } from '../../why/request-explanation.ts'
import { defineCommand } from '../command.ts'

export const whyCommand = defineCommand({
  args: z.object({
    /** A request's id or its beginning; absent, the latest. */
    requestId: z.string().min(1).max(64).optional(),
    replay: z.boolean().optional(),
  }),
  result: requestExplanationSchema,
  run: async ({ port }, { requestId, replay }) => port.why(requestId, { replay }),
})

export const requestsCommand = defineCommand({
  args: z.object({}),
  result: z.array(requestSummarySchema).readonly(),
  run: async ({ port }) => port.requests(),
})
