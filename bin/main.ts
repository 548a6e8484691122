import { Command, CommanderError } from 'commander'
import { HintedError, QMeshError, toErrorReport } from '../runtime/error-report.ts'
import { exitCodes } from '../runtime/exit-codes.ts'
import { packageVersion } from '../runtime/version.ts'
import type { AddCommand } from './command.ts'
import { addAsk } from './commands/ask.ts'
import { addBootstrap } from './commands/bootstrap.ts'
import { addChat } from './commands/chat.ts'
import { addConfig } from './commands/config.ts'
import { addCredit } from './commands/credit.ts'
import { addDemo } from './commands/demo.ts'
import { addDrain, addResume } from './commands/drain.ts'
import { addEmbed } from './commands/embed.ts'
import { addInspect } from './commands/inspect.ts'
import { addKeys } from './commands/keys.ts'
import { addModels } from './commands/models.ts'
import { addScores } from './commands/scores.ts'
import { addSimulate } from './commands/simulate.ts'
import { addStatus } from './commands/status.ts'
import { addTop } from './commands/top.ts'
import { addUp } from './commands/up.ts'
import { addWhy } from './commands/why.ts'
import { addWhyScore } from './commands/why-score.ts'
import { addWorkers } from './commands/workers.ts'
import { BrokenPipe, output } from './output.ts'

const epilog = `
Exit codes:
${Object.values(exitCodes)
  .map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`)
  .join('\n')}

Start here:
  qmesh-node up                               a node with the small built-in model
  qmesh-node ask "What is a mesh?"            from another terminal
  qmesh-node models pull smollm2-135m-instruct
  qmesh-node up --model smollm2-135m-instruct

QMESH_DEBUG=1 adds stack traces to errors.`

// The order of --help.
const commands: readonly AddCommand[] = [
  addUp,
  addAsk,
  addChat,
  addEmbed,
  addStatus,
  addTop,
  addWorkers,
  addWhy,
  addInspect,
  addScores,
  addWhyScore,
  addCredit,
  addDrain,
  addResume,
  addModels,
  addKeys,
  addConfig,
  addBootstrap,
  addDemo,
  addSimulate,
]

/** The whole command line, to be given arguments. @param exit is told what the process is to end with, if not with 0 */
export function createProgram(exit: (code: number) => void): Command {
  const program = new Command('qmesh-node')
    .description('A peer-to-peer mesh in which people share LLM inference.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('after', epilog)
    .showSuggestionAfterError()
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
  for (const add of commands) add(program, exit)
  return program
}

/** Runs the command line and returns the exit code; every failure was reported by then. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.ok.code
  const program = createProgram((code) => (exitCode = code))
  try {
    // Alone, it shows what it can do; that is not what was asked for, though, so it is no success.
    if (args.length === 0) {
      program.outputHelp({ error: true })
      return exitCodes.usage.code
    }
    refuseUnknownTopic(program, args)
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok.code
    // A command whose commands were not named has shown them, as the bare program does.
    if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage.code
    // Whoever read our output has enough of it.
    if (error instanceof BrokenPipe) return exitCodes.ok.code
    return report(toHinted(error, program, args), args.includes('--json'))
  }
}

/** The command that the arguments begin with, and what follows it. */
function findCommand(
  program: Command,
  args: readonly string[],
): { command: Command; rest: readonly string[] } {
  const [name, ...rest] = args
  const command = program.commands.find((known) => known.name() === name)
  return command ? findCommand(command, rest) : { command: program, rest: args }
}

/** Commander shows the help of everything instead, which is no answer to whoever mistyped a name. */
function refuseUnknownTopic(program: Command, args: readonly string[]): void {
  const { command, rest } = findCommand(program, args)
  const [help, topic] = rest
  if (help !== 'help' || topic === undefined || topic.startsWith('-') || command.commands.length === 0) return
  if (topic === 'help' || command.commands.some((known) => known.name() === topic)) return
  throw new QMeshError('QM_USAGE', `there is no command '${topic}' to be helped with`)
}

/** A mistake on the command line is shown the help of the command that it was made in. */
function toHinted(error: unknown, program: Command, args: readonly string[]): unknown {
  const failure =
    error instanceof CommanderError
      ? new QMeshError('QM_USAGE', error.message.replace(/^error: /, ''), { cause: error })
      : error
  if (!(failure instanceof QMeshError) || failure.code !== 'QM_USAGE') return failure
  const names: string[] = []
  let command: Command | null = findCommand(program, args).command
  for (; command; command = command.parent) names.unshift(command.name())
  return new HintedError(failure, `see "${names.join(' ')} --help"`)
}

async function report(thrown: unknown, asJson: boolean): Promise<number> {
  const { code, message, hint, exitCode, requestId, stack } = toErrorReport(thrown)
  const isDebug = Boolean(process.env['QMESH_DEBUG'])
  process.stderr.write(
    `error ${code}: ${message}\n${hint ? `hint: ${hint}\n` : ''}${isDebug ? `${stack}\n` : ''}`,
  )
  if (asJson)
    await output
      .json({ error: { code, message, ...(hint && { hint }), ...(requestId && { requestId }) } })
      .catch(() => undefined)
  return exitCode
}
