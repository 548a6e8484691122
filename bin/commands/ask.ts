import { addAskFlags, readJsonSchema, toAskOptions, type AskFlags } from '../ask-flags.ts'
import { listenForInterrupt } from '../interrupt.ts'
import type { AddCommand } from '../command.ts'
import { openMeshAccess } from '../mesh-access.ts'
import { clientKeys, loadCommandConfig } from '../options.ts'
import { output } from '../output.ts'
import { quietConfig } from '../quiet-config.ts'
import { readPrompt } from '../read-prompt.ts'
import { createSpinner } from '../spinner.ts'
import { follow, printStats, streamAnswer } from '../stream-answer.ts'

const examples = `
Examples:
  qmesh-node ask "What is the capital of France?"
  git diff | qmesh-node ask --system "Write a commit message." -
  qmesh-node ask --model ./smollm2.gguf --local --temperature 0 "Count to five."
  qmesh-node ask --json --json-schema '{"type":"object"}' "Describe a fox." | jq .text

With a node running on the data directory the question goes through it; otherwise a client is started for this one
question. Everybody who answers reads your prompt: do not send secrets.`

interface Flags extends AskFlags {
  readonly json?: boolean
  readonly jsonSchema?: string
}

export const addAsk: AddCommand = (program, exit) => {
  const command = program
    .command('ask')
    .description('ask the mesh one question and stream the answer')
    .argument('[prompt...]', 'the question; "-" or nothing reads standard input')
    .option('--json', 'print the result as one JSON document')
    .option('--json-schema <schema>', 'the answer satisfies this JSON schema: JSON text or a file')
    .addHelpText('after', examples)
  addAskFlags(command).action(async (words: string[], flags: Flags) => {
    const interrupt = listenForInterrupt()
    const spinner = createSpinner('looking for a worker')
    try {
      const { signal } = interrupt
      const options = toAskOptions(flags, await readJsonSchema(flags.jsonSchema))
      const config = quietConfig(await loadCommandConfig(command, clientKeys))
      const prompt = await readPrompt(words)
      const system = flags.system === undefined ? [] : [{ role: 'system' as const, content: flags.system }]
      const access = await openMeshAccess({
        config,
        model: flags.model,
        localOnly: flags.local,
        spinner,
        signal,
      })
      try {
        const messages = [...system, { role: 'user' as const, content: prompt }]
        const answer = access.port.ask(messages, { ...options, ...access.target, signal })
        follow(answer, spinner)
        const result = flags.json ? await answer.result : await streamAnswer(answer, spinner)
        spinner.stop()
        if (flags.json) await output.json(result)
        if (flags.stats) printStats(result)
      } finally {
        await access.close()
      }
    } catch (error) {
      // Whatever failed after Ctrl-C failed because of it.
      if (interrupt.exitCode === undefined) throw error
      exit(interrupt.exitCode)
    } finally {
      spinner.stop()
      interrupt.dispose()
    }
  })
}
