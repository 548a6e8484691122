import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { ControlPort } from '../runtime/control/index.ts'
import { QMeshError } from '../runtime/error-report.ts'
import { addConfigFlags, clientKeys, collect, toDurationMs, toInteger, toNumber } from './options.ts'

export interface AskFlags {
  readonly model?: string
  readonly system?: string
  readonly maxTokens?: string
  readonly temperature?: string
  readonly topK?: string
  readonly topP?: string
  readonly minP?: string
  readonly repeatPenalty?: string
  readonly seed?: string
  readonly stop?: string[]
  readonly timeout?: string
  readonly wait?: string
  readonly resume?: string
  readonly local?: boolean
  readonly stats?: boolean
}

/** The flags that `ask` and `chat` share. */
export function addAskFlags(command: Command): Command {
  command
    .option('-m, --model <path-or-id>', 'model to ask; a path of a GGUF file is loaded here for this command')
    .option('--system <text>', 'system prompt')
    .option('-n, --max-tokens <number>', 'most tokens of an answer')
    .option('-t, --temperature <number>', '0 is greedy, higher is more varied, at most 5')
    .option('--top-k <number>', 'tokens considered, by rank; 0 for all')
    .option('--top-p <number>', 'tokens considered, by their share of the probability')
    .option('--min-p <number>', 'least probability against the best token')
    .option('--repeat-penalty <number>', '1 switches it off')
    .option('--seed <number>', 'same seed, prompt and worker: same answer')
    .option('--stop <text>', 'end the answer before this text; may be given several times', collect)
    .option('--timeout <seconds>', 'give up after so long')
    .option(
      '--wait <seconds>',
      'wait so long for a first worker to appear (default: 2.5 where the built-in model can answer, else 15)',
    )
    .option(
      '--resume <way>',
      'how another worker goes on when one is lost: exact or fast; else what costs less',
    )
    .option('--local', 'keep the prompt on this machine')
    .option('--stats', 'print tokens, speed and worker on standard error')
  return addConfigFlags(command, clientKeys)
}

type AskOptions = Parameters<ControlPort['ask']>[1]

/** @throws QMeshError `QM_USAGE` naming the flag; the bounds are those of the wire. */
export function toAskOptions(flags: AskFlags, jsonSchema?: string): AskOptions {
  return {
    maxTokens: toInteger('--max-tokens', flags.maxTokens, 1, 32_768),
    temperature: toNumber('--temperature', flags.temperature, 0, 5),
    topK: toInteger('--top-k', flags.topK, 0, 1_000),
    topP: toNumber('--top-p', flags.topP, 0.001, 1),
    minP: toNumber('--min-p', flags.minP, 0, 1),
    repeatPenalty: toNumber('--repeat-penalty', flags.repeatPenalty, 0.5, 2),
    seed: toInteger('--seed', flags.seed, 0, 0xffff_ffff),
    stop: toStops(flags.stop),
    deadlineMs: toDurationMs('--timeout', flags.timeout),
    discoverMs: toDurationMs('--wait', flags.wait),
    resume: toResumeMode(flags.resume),
    localOnly: flags.local,
    jsonSchema,
  }
}

function toStops(texts: readonly string[] | undefined): string[] | undefined {
  if (texts === undefined) return undefined
  if (texts.length > 8) {
    throw new QMeshError('QM_USAGE', `--stop may be given 8 times, but it is given ${texts.length} times`)
  }
  const wrong = texts.find(({ length }) => length < 1 || length > 64)
  if (wrong === undefined) return [...texts]
  throw new QMeshError('QM_USAGE', `--stop must be 1 to 64 characters, but this has ${wrong.length}`)
}

const resumeModes = ['exact', 'fast'] as const satisfies readonly AskOptions['resume'][]

function toResumeMode(text: string | undefined): AskOptions['resume'] {
  const mode = resumeModes.find((known) => known === text)
  if (mode || text === undefined) return mode
  throw new QMeshError('QM_USAGE', `--resume must be ${resumeModes.join(' or ')}, but this is "${text}"`)
}

/** A JSON schema given as text, or as the path of a file that holds it. */
export async function readJsonSchema(text: string | undefined): Promise<string | undefined> {
  if (text === undefined || text.trimStart().startsWith('{')) return text
  try {
    return await readFile(text, 'utf8')
  } catch (error) {
    throw new QMeshError('QM_USAGE', `--json-schema: ${text} cannot be read`, { cause: error })
  }
}
