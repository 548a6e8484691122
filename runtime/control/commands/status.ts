import { z } from 'zod'
import { nodeStatusSchema } from '../../node-status.ts'
import { defineCommand } from '../command.ts'

export const statusCommand = defineCommand({
  args: z.object({}),
  result: nodeStatusSchema,
  run: ({ port }) => port.status(),
})
