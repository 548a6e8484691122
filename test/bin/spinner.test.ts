import { describe, expect, it, vi } from 'vitest'
import type { AnswerChunk } from '../../actors/request/answer-log.ts'
import { createControlRig } from '../runtime/support/control-rig.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { hasTerminal, startOnTerminal, type TerminalRun } from './terminal.ts'

const timeout = 60_000
const frames = /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/

/** A node of paper whose first token comes when the spinner stands on the terminal, and the others one by one. */
async function ask(chunks: readonly string[], ...flags: string[]) {
  let run: TerminalRun | undefined
  const node = await createControlRig({
    chunks: async function* (): AsyncGenerator<AnswerChunk> {
      await vi.waitFor(() => expect(run?.said()).toMatch(frames), { timeout: 30_000 })
      for (const text of chunks) {
        yield { text, tokens: [1] }
        // What is written next is a chunk of its own.
        await vi.waitFor(() => expect(run?.said()).toContain(text.trim()), { timeout: 30_000 })
      }
    },
  })
  run = startOnTerminal(await tempDir(), ['ask', '--data-dir', node.dataDir, ...flags, 'hi'])
  return { seen: await run.seen(), said: run.said() }
}

describe.skipIf(!hasTerminal)('the spinner', { timeout }, () => {
  it('leaves a late answer as it is', async () => {
    const { seen, said } = await ask(['alpha', ' beta', ' gamma\n', 'delta', ' epsilon'])
    expect(seen).toEqual(['alpha beta gamma', 'delta epsilon', 'why: qmesh-node why cdcdcdcd'])
    // Nothing is drawn, and no cursor moved, after the first word of the answer.
    expect(said.slice(said.indexOf('alpha'))).not.toMatch(frames)
    expect(said.slice(said.indexOf('alpha'))).not.toMatch(/\p{Cc}\[\d*[A-Z]/u)
  })

  it('leaves the line with the numbers as it is', async () => {
    const { seen } = await ask(['alpha', ' beta'], '--stats')
    expect(seen[0]).toBe('alpha beta')
    expect(seen[1]).toMatch(/^2 tokens \(stop\)/)
  })
})
