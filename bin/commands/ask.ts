import { addAskFlags, readJsonSchema, toAskOptions, type AskFlags } from '../ask-flags.ts'
import { listenForInterrupt } from '../interrupt.ts'
import type { RequestExplanation } from '../../runtime/index.ts'
import type { AddCommand } from '../command.ts'
import { explanationLines } from '../explanation-lines.ts'
import { fallbackText, tellNames, toHinted } from '../no-worker.ts'
import { openMeshAccess, type MeshAccess } from '../mesh-access.ts'
import { clientKeys, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'
import { readPrompt } from '../read-prompt.ts'
import { createSpinner, type Spinner } from '../spinner.ts'
import { follow, printStats, streamAnswer } from '../stream-answer.ts'

const examples = `
Examples:
  qmesh-node ask "What is the capital of France?"
  git diff | qmesh-node ask --system "Write a commit message." -
  qmesh-node ask --model ./smollm2.gguf --local --temperature 0 "Count to five."
  qmesh-node ask --why "Who are you?"
  qmesh-node ask --json --json-schema '{"type":"object"}' "Describe a fox." | jq .text

With a node running on the data directory the question goes through it; otherwise, and with flags that say what that node
was not started with (--bootstrap, --secret, --allow …), a client is started for this one question. Where it meets no
worker the small built-in model answers and a line on standard error says so; with --bootstrap or --secret it fails
instead. Everybody who answers reads your prompt: do not send secrets.`

interface Flags extends AskFlags {
  readonly json?: boolean
  readonly jsonSchema?: string
  readonly why?: boolean
}

export const addAsk: AddCommand = (program, exit) => {
  const command = program
    .command('ask')
    .description('ask the mesh one question and stream the answer')
    .argument('[prompt...]', 'the question; "-" or nothing reads standard input')
    .option('--json', 'print the result as one JSON document')
    .option('--json-schema <schema>', 'the answer satisfies this JSON schema: JSON text or a file')
    .option('--why', 'explain on standard error why the question went where it went; with --json: as "why"')
    .addHelpText('after', examples)
  addAskFlags(command).action(async (words: string[], flags: Flags) => {
    const interrupt = listenForInterrupt()
    let spinner: Spinner | undefined
    try {
      const { signal } = interrupt
      const options = toAskOptions(flags, await readJsonSchema(flags.jsonSchema))
      const loaded = await loadCommandConfig(command, clientKeys)
      const prompt = await readPrompt(words, signal)
      // Not before: at a terminal the words are typed just now.
      spinner = createSpinner('looking for a worker')
      const system = flags.system === undefined ? [] : [{ role: 'system' as const, content: flags.system }]
      const access = await openMeshAccess({
        loaded,
        model: flags.model,
        localOnly: flags.local,
        waitMs: options.discoverMs,
        spinner,
        signal,
      })
      try {
        const messages = [...system, { role: 'user' as const, content: prompt }]
        const answer = access.port.ask(messages, { ...options, ...access.target, signal })
        follow(answer, spinner)
        const stopTelling = tellNames(access, spinner)
        try {
          const result = flags.json ? await answer.result : await streamAnswer(answer, spinner)
          spinner.stop()
          const why = flags.why ? await explain(access, result.requestId) : undefined
          const fallback = fallbackText(access, result)
          if (flags.json) {
            await output.json({ ...result, ...(fallback && { isFallback: true }), ...(why && { why }) })
          }
          if (fallback) note(fallback)
          if (flags.stats) printStats(result)
          if (why && !flags.json) note(`\n${explanationLines(why).join('\n')}`)
          if (!flags.why) pointToWhy(access, result.requestId)
        } catch (error) {
          spinner.stop()
          if (interrupt.exitCode === undefined) await explainFailure(access, answer.requestId, flags)
          throw await toHinted(error, access)
        } finally {
          stopTelling()
        }
      } finally {
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

/** The answer is there: that nobody can say where it came from is no reason to lose it. */
async function explain({ port }: MeshAccess, requestId: string): Promise<RequestExplanation | undefined> {
  try {
    return await port.why(requestId)
  } catch (error) {
    note(`it cannot be explained: ${(error as Error).message}`)
    return undefined
  }
}

/** A person at a terminal learns how to ask where the answer came from; a script knows or does not care. */
function pointToWhy({ isLasting }: MeshAccess, requestId: string | undefined): void {
  if (!process.stderr.isTTY || requestId === undefined) return
  note(isLasting ? `why: qmesh-node why ${requestId.slice(0, 8)}` : 'why: ask with --why')
}

async function explainFailure(
  access: MeshAccess,
  requestId: string | undefined,
  { why }: Flags,
): Promise<void> {
  if (!why) return pointToWhy(access, requestId)
  try {
    // One that never came as far as choosing a worker has nothing to explain: the error says it all.
    if (requestId !== undefined) note(explanationLines(await access.port.why(requestId)).join('\n'))
  } catch {}
}
