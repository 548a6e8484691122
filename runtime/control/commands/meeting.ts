import { z } from 'zod'
import { defineCommand } from '../command.ts'

/**
 * How a node finds its mesh. Told on the control socket, which is its owner's, and not in the status, which programs pass on:
 * whoever knows the topic finds a private mesh, and can guess a weak secret by it.
 */
const meetingSchema = z.object({
  /** See `toMeshTopic`. */
  topic: z.string().max(64),
  /** The DHT nodes it starts from, as they were given; none for the public ones. */
  bootstrap: z.array(z.string().max(300)).max(64),
})
export type Meeting = z.infer<typeof meetingSchema>

export const meetingCommand = defineCommand({
  args: z.object({}),
  result: meetingSchema,
  run: ({ port }) => port.meeting(),
})
