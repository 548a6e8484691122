import { z } from 'zod'
import { nodeStatusSchema } from '../../node-status.ts'
import { defineCommand } from '../command.ts'

/** Takes nothing of others from now on. */
export const drainCommand = defineCommand({
  args: z.object({}),
  result: nodeStatusSchema,
  run: ({ port }) => port.drain(),
})

export const resumeCommand = defineCommand({
  args: z.object({}),
  result: nodeStatusSchema,
  run: ({ port }) => port.resume(),
})
