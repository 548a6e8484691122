import { askCommand } from './ask.ts'
import { drainCommand, resumeCommand } from './duty.ts'
import { embedCommand } from './embed.ts'
import { meetingCommand } from './meeting.ts'
import { modelsCommands } from './models.ts'
import { creditCommand, scoresCommand, whyScoreCommand } from './scores.ts'
import { statusCommand } from './status.ts'
import { requestsCommand, whyCommand } from './why.ts'
import { workersCommand } from './workers.ts'

/** Every command a running node understands, by the name on the wire. */
export const controlCommands = {
  ask: askCommand,
  credit: creditCommand,
  drain: drainCommand,
  embed: embedCommand,
  meeting: meetingCommand,
  ...modelsCommands,
  requests: requestsCommand,
  resume: resumeCommand,
  scores: scoresCommand,
  status: statusCommand,
  why: whyCommand,
  'why-score': whyScoreCommand,
  workers: workersCommand,
} as const
export type ControlCommandName = keyof typeof controlCommands
