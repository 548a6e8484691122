import type { Embeddings } from '../../runtime/index.ts'
import { toNumbers } from '../../runtime/control/index.ts'
import type { AddCommand } from '../command.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { tellNames, toHinted } from '../no-worker.ts'
import { openMeshAccess } from '../mesh-access.ts'
import { addConfigFlags, clientKeys, loadCommandConfig, toDurationMs, toInteger } from '../options.ts'
import { note, output } from '../output.ts'
import { readPrompt } from '../read-prompt.ts'
import { createSpinner, type Spinner } from '../spinner.ts'
import { short } from '../stream-answer.ts'

const examples = `
Examples:
  qmesh-node embed "a dog" "a cat"
  qmesh-node embed --model all-minilm-l6-v2 --json "a dog" | jq '.vectors[0]'
  qmesh-node embed - < sentences.txt

Each text becomes a vector of length 1; texts that mean something alike have vectors that are alike. Everybody who makes
one reads its text: do not send secrets.`

interface Flags {
  readonly model?: string
  readonly size?: string
  readonly timeout?: string
  readonly wait?: string
  readonly local?: boolean
  readonly stats?: boolean
  readonly json?: boolean
}

export const addEmbed: AddCommand = (program, exit) => {
  const command = program
    .command('embed')
    .description('turn texts into vectors, by a model for embeddings of the mesh')
    .argument('[text...]', 'the texts; "-" or nothing reads standard input, each line a text')
    .option('-m, --model <path-or-id>', 'model to ask; a path of a GGUF file is loaded here for this command')
    .option('--size <numbers>', 'only a model with vectors of so many numbers')
    .option('--timeout <seconds>', 'give up after so long')
    .option('--wait <seconds>', 'wait so long for a first worker to appear (default: 15)')
    .option('--local', 'keep the texts on this machine')
    .option('--stats', 'print model, tokens and workers on standard error')
    .option('--json', 'print the result as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, clientKeys).action(async (words: string[], flags: Flags) => {
    const interrupt = listenForInterrupt()
    let spinner: Spinner | undefined
    try {
      const { signal } = interrupt
      const options = {
        size: toInteger('--size', flags.size, 1, 1_048_576),
        deadlineMs: toDurationMs('--timeout', flags.timeout),
        discoverMs: toDurationMs('--wait', flags.wait),
      }
      const loaded = await loadCommandConfig(command, clientKeys)
      const texts = await readTexts(words, signal)
      // Not before: at a terminal the words are typed just now.
      spinner = createSpinner('looking for a worker')
      const access = await openMeshAccess({
        loaded,
        model: flags.model,
        localOnly: flags.local,
        isEmbedding: true,
        spinner,
        signal,
      })
      const stopTelling = tellNames(access, spinner)
      try {
        const result = await access.port.embed(texts, { ...options, ...access.target, signal })
        spinner.stop()
        await (flags.json ? output.json(toJson(result)) : printVectors(result))
        if (flags.stats) printStats(result)
      } catch (error) {
        throw await toHinted(error, access)
      } finally {
        stopTelling()
        await access.close()
      }
    } catch (error) {
      // Whatever failed after Ctrl-C failed because of it.
      if (interrupt.exitCode === undefined) throw error
      exit(interrupt.exitCode)
    } finally {
      spinner?.stop()
      interrupt.dispose()
    }
  })
}

/** The arguments, each a text; or the lines of standard input that are not empty. */
async function readTexts(words: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const isStdin = words.length === 0 || (words.length === 1 && words[0] === '-')
  if (!isStdin) return words
  return (await readPrompt(words, signal, 'text')).split(/\r?\n/).filter((line) => line.trim() !== '')
}

const toJson = ({ vectors, ...result }: Embeddings) => ({
  ...result,
  vectors: vectors.map(toNumbers),
})

async function printVectors({ vectors }: Embeddings): Promise<void> {
  for (const vector of vectors) await output.line(toNumbers(vector).join(' '))
}

function printStats({ vectors, size, modelId, usage, timings, requests }: Embeddings): void {
  const workers = new Set(requests.map(({ workerId }) => short(workerId)))
  note(
    [
      `${vectors.length} vectors of ${size} numbers`,
      `${usage.promptTokens} tokens`,
      `${Math.round(timings.totalMs)} ms`,
      `${modelId} on ${[...workers].join(', ')}`,
    ].join(' · '),
  )
}
