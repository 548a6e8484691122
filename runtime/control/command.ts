import type { z } from 'zod'
import type { ControlPort } from './control.port.ts'
import type { Chunk, Notice } from './messages.ts'

export interface CommandContext {
  readonly port: ControlPort
  /** Aborted when the other end went away, or reads no more. */
  readonly signal: AbortSignal
  /** Sends a part of a long answer; resolves when the other end keeps up, rejects when it went away or reads no more. */
  readonly send: (message: Chunk | Notice) => Promise<void>
}

/** One thing a running node can be told to do. A new one is one file here and a line in `commands/index.ts`. */
export interface ControlCommand<Args extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly args: Args
  /** Checked by the client: the node may be of another version. */
  readonly result: Result
  run(context: CommandContext, args: z.output<Args>): Promise<z.output<Result>> | z.output<Result>
}

export const defineCommand = <Args extends z.ZodType, Result extends z.ZodType>(
  command: ControlCommand<Args, Result>,
): ControlCommand<Args, Result> => command
