import { askCommand } from './ask.ts'
import { statusCommand } from './status.ts'
import { workersCommand } from './workers.ts'

/** Every command a running node understands, by the name on the wire. */
export const controlCommands = {
  ask: askCommand,
  status: statusCommand,
  workers: workersCommand,
} as const
export type ControlCommandName = keyof typeof controlCommands
