import { pino, type DestinationStream, type Logger } from 'pino'
import { QMeshError } from '../protocol/index.ts'
import { prettyLine } from './pretty-line.ts'

export type { Logger } from 'pino'

export interface LoggerOptions {
  /** A level of pino, or `silent`. */
  readonly level: string
  /** Appends JSON lines there. Absent: standard error, so that standard output stays for answers. */
  readonly file?: string | undefined
  /** One short line for people instead of JSON. Default: when standard error is a terminal and no file is given. */
  readonly pretty?: boolean
  /** Where lines go instead, for tests. */
  readonly destination?: DestinationStream
}

/** Never written, whatever the level. */
const secretFields = ['secret', 'secretKey', 'seed', 'keyPair', 'proof']
const secretPaths = secretFields.flatMap((field) => [field, `*.${field}`])

/** What people wrote or were answered: only at `debug` and `trace`. */
const promptFields = new Set(['prompt', 'messages', 'input', 'content', 'text', 'stop', 'jsonSchema'])
const infoLevel = 30

/** The logger of a node. No prompt text leaves it at `info` or above, and no secret at any level. */
export function createLogger({ level, file, pretty, destination }: LoggerOptions): Logger {
  const sink = destination ?? openDestination(file)
  const isPretty = pretty ?? (destination === undefined && file === undefined && process.stderr.isTTY)
  const stream: DestinationStream = isPretty ? { write: (line) => sink.write(prettyLine(line)) } : sink
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretPaths, censor: '[hidden]' },
      hooks: {
        logMethod(args, method, severity) {
          const fields: unknown = args[0]
          if (severity >= infoLevel && isPlainObject(fields)) {
            method.apply(this, [withoutPrompts(fields, 2), ...args.slice(1)] as unknown as typeof args)
          } else method.apply(this, args)
        },
      },
    },
    stream,
  )
}

/**
 * Through the stream and not past it to the file descriptor: a spinner that stands on the terminal hears of the line and
 * makes room for it.
 */
const terminal: DestinationStream = { write: (line) => void process.stderr.write(line) }
let isTerminalGuarded = false

function openTerminal(): DestinationStream {
  // A terminal that was closed must not end a node that is answering.
  if (!isTerminalGuarded) process.stderr.on('error', () => undefined)
  isTerminalGuarded = true
  return terminal
}

function openDestination(file: string | undefined): DestinationStream {
  if (file === undefined && process.stderr.isTTY) return openTerminal()
  let sink: ReturnType<typeof pino.destination>
  try {
    sink = pino.destination(
      file === undefined ? { dest: 2, sync: true } : { dest: file, mkdir: true, sync: true },
    )
  } catch (error) {
    throw new QMeshError(
      'QM_CONFIG_INVALID',
      `"logFile" ${file} cannot be opened: ${(error as Error).message}`,
      { cause: error },
    )
  }
  // A full disk or a closed pipe must not end a node that is answering.
  sink.on('error', () => undefined)
  return sink
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

function withoutPrompts(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (promptFields.has(name)) return [name, '[hidden]']
      return [name, depth > 0 && isPlainObject(value) ? withoutPrompts(value, depth - 1) : value]
    }),
  )
}
