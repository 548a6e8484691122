import { createInterface, type Interface } from 'node:readline'
import { addAskFlags, toAskOptions, type AskFlags } from '../ask-flags.ts'
import { toErrorReport } from '../../runtime/error-report.ts'
import { exitCodes } from '../../runtime/exit-codes.ts'
import type { AddCommand } from '../command.ts'
import { fallbackText, tellNames, toHinted } from '../no-worker.ts'
import { openMeshAccess, type MeshAccess } from '../mesh-access.ts'
import { clientKeys, loadCommandConfig } from '../options.ts'
import { note } from '../output.ts'
import { createSpinner } from '../spinner.ts'
import { follow, printStats, streamAnswer } from '../stream-answer.ts'

const examples = `
Examples:
  qmesh-node chat
  qmesh-node chat --model smollm2-135m-instruct --system "You are brief."
  printf 'My name is Ada.\\nWhat is my name?\\n' | qmesh-node chat --temperature 0

Ctrl-C stops an answer, and leaves when none is coming. Lines that start with "/" are for the chat: /help.`

const help = '/reset forgets the conversation, /exit leaves'

/** Messages of a conversation that are sent along; the wire takes 256. */
const messagesMax = 200

type Ask = MeshAccess['port']['ask']
type Message = Parameters<Ask>[0][number]

export const addChat: AddCommand = (program, exit) => {
  const command = program
    .command('chat')
    .description('talk to the mesh, line by line')
    .addHelpText('after', examples)
  addAskFlags(command).action(async (flags: AskFlags) => {
    const options = toAskOptions(flags)
    const loaded = await loadCommandConfig(command, clientKeys)
    const leave = new AbortController()
    const onTerminate = (): void => {
      exit(exitCodes.terminated.code)
      leave.abort()
    }
    const onInterrupt = (): void => {
      exit(exitCodes.interrupted.code)
      leave.abort()
    }
    process.on('SIGTERM', onTerminate)
    process.on('SIGINT', onInterrupt)
    const spinner = createSpinner('starting')
    let access: MeshAccess | undefined
    try {
      access = await openMeshAccess({
        loaded,
        model: flags.model,
        localOnly: flags.local,
        waitMs: options.discoverMs,
        spinner,
        signal: leave.signal,
      })
      spinner.stop()
      const { port, target } = access
      const ask: Ask = (messages, extra) => port.ask(messages, { ...options, ...extra, ...target })
      await converse(access, ask, flags, leave)
    } catch (error) {
      if (!leave.signal.aborted) throw error
    } finally {
      spinner.stop()
      process.off('SIGTERM', onTerminate)
      process.off('SIGINT', onInterrupt)
      await access?.close()
    }
  })
}

async function converse(
  access: MeshAccess,
  ask: Ask,
  flags: AskFlags,
  leave: AbortController,
): Promise<void> {
  const system: Message[] = flags.system === undefined ? [] : [{ role: 'system', content: flags.system }]
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY
  let history: Message[] = []
  let isFallbackTold = false
  let answering: AbortController | undefined
  const lines = createInterface({
    input: process.stdin,
    // What a person types is echoed beside the answers, not among them.
    ...(isTerminal && { output: process.stderr, prompt: '> ' }),
    terminal: isTerminal,
    signal: leave.signal,
  })
  // On a terminal Ctrl-C arrives here and not as a signal.
  lines.on('SIGINT', () => (answering ? answering.abort() : lines.close()))
  if (isTerminal) note(help)
  for await (const line of prompted(lines, isTerminal)) {
    const text = line.trim()
    if (text === '/exit' || text === '/quit') break
    if (text === '/reset') history = []
    else if (text.startsWith('/')) note(help)
    if (text === '' || text.startsWith('/')) continue
    answering = new AbortController()
    const signal = AbortSignal.any([answering.signal, leave.signal])
    const spinner = createSpinner('looking for a worker')
    const stopTelling = tellNames(access, spinner)
    const user: Message = { role: 'user', content: line }
    try {
      const answer = ask([...system, ...history, user], { signal })
      follow(answer, spinner)
      const result = await streamAnswer(answer, spinner)
      history = [...history, user, { role: 'assistant' as const, content: result.text }].slice(-messagesMax)
      if (flags.stats) printStats(result)
      const fallback = fallbackText(access, result)
      if (fallback && !isFallbackTold) note(fallback)
      isFallbackTold ||= fallback !== undefined
    } catch (thrown) {
      const error = await toHinted(thrown, access)
      spinner.stop()
      // A conversation outlives a failed answer when there is a person to go on with it.
      if (!isTerminal || leave.signal.aborted) throw error
      const { code, message, hint } = toErrorReport(error)
      if (code !== 'QM_CANCELLED') note(`error ${code}: ${message}${hint ? `\nhint: ${hint}` : ''}`)
      if (code === 'QM_CONTEXT_EXCEEDED') note('/reset starts a new conversation')
    } finally {
      stopTelling()
      spinner.stop()
      answering = undefined
    }
  }
  lines.close()
}

async function* prompted(lines: Interface, isTerminal: boolean): AsyncGenerator<string, void, undefined> {
  if (isTerminal) lines.prompt()
  for await (const line of lines) {
    yield line
    if (isTerminal) lines.prompt()
  }
}
