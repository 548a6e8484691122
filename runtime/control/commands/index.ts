import { askCommand } from './ask.ts'
import { drainCommand, resumeCommand } from './duty.ts'
import { statusCommand } from './status.ts'
import { requestsCommand, whyCommand } from './why.ts'
import { workersCommand } from './workers.ts'

/** Every command a running node understands, by the name on the wire. */
export const controlCommands = {
  ask: askCommand,
  drain: drainCommand,
  requests: requestsCommand,
  resume: resumeCommand,
  status: statusCommand,
  why: whyCommand,
  workers: workersCommand,
} as const
export type ControlCommandName = keyof typeof controlCommands
