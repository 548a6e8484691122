import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import type { AnswerChunk } from '../../actors/request/answer-log.ts'
import { QMeshError } from '../../protocol/index.ts'
import { createControlRig, sampleResult, sampleStatus } from '../runtime/support/control-rig.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { cli, runMain, startCli } from './cli.ts'

const timeout = 30_000

/** A node of paper, and the command line that reaches it. */
async function rig(options: Parameters<typeof createControlRig>[0] = {}) {
  const node = await createControlRig(options)
  const home = await tempDir()
  return {
    node,
    home,
    args: (name: string, ...rest: string[]) => [name, '--data-dir', node.dataDir, ...rest],
  }
}

describe('with a running node', { timeout }, () => {
  it('ask streams its answer to standard output, and nothing else', async () => {
    const { node, home, args } = await rig()
    const run = await cli(home, args('ask', '--system', 'Be brief.', '-t', '0', 'What', 'is', 'this?'))
    expect(run).toEqual({ code: 0, stdout: 'hello world\n', stderr: '' })
    expect(node.asked[0]?.input).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'What is this?' },
    ])
    expect(node.asked[0]?.options).toMatchObject({ temperature: 0 })
  })

  it.each([[['-']], [[]]])('ask %j reads the prompt from standard input', async (words) => {
    const { node, home, args } = await rig()
    const run = await cli(home, args('ask', ...words), { input: 'from a pipe\n' })
    expect(run).toMatchObject({ code: 0, stdout: 'hello world\n' })
    expect(node.asked[0]?.input).toEqual([{ role: 'user', content: 'from a pipe\n' }])
  })

  it('ask --json prints one document, --stats one line beside it', async () => {
    const { home, args } = await rig()
    const run = await runMain(home, args('ask', '--json', '--stats', 'hi'))
    expect(JSON.parse(run.stdout)).toEqual(sampleResult)
    expect(run.stderr).toMatch(/^2 tokens \(stop\) · .* · tiny on abababababab…\n$/)
  })

  it('ask ends the line of an answer that breaks off, says why, and ends with 1', async () => {
    const { home, args } = await rig({
      chunks: async function* (): AsyncGenerator<AnswerChunk> {
        yield { text: 'half of', tokens: [1] }
        throw new QMeshError('QM_WORKER_LOST', 'the worker\nwent away')
      },
    })
    expect(await runMain(home, args('ask', 'hi'))).toEqual({
      code: 1,
      stdout: 'half of\n',
      stderr: 'error QM_WORKER_LOST: the worker went away\n',
    })
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ask is cancelled by %s and ends with %d', async (signal, code) => {
    const { node, home, args } = await rig({ chunks: endless })
    const child = startCli(home, args('ask', 'hi'))
    await once(child.stdout, 'data')
    child.kill(signal)
    expect(await once(child, 'exit')).toEqual([code, null])
    await vi.waitFor(() => expect(node.asked[0]?.isLeft).toBe(true))
  })

  it('ask stops quietly when its reader goes away', async () => {
    const { node, home, args } = await rig({ chunks: endless })
    const child = startCli(home, args('ask', 'hi'))
    let stderr = ''
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(stderr).toBe('')
    await vi.waitFor(() => expect(node.asked[0]?.isLeft).toBe(true))
  })

  it('chat remembers what was said', async () => {
    const { node, home, args } = await rig()
    const input = 'one\n\ntwo\n/reset\nthree\n/exit\nfour\n'
    const run = await cli(home, args('chat', '--system', 'S'), { input })
    expect(run).toEqual({ code: 0, stdout: 'hello world\n'.repeat(3), stderr: '' })
    const system = { role: 'system', content: 'S' }
    const user = (content: string) => ({ role: 'user', content })
    const assistant = { role: 'assistant', content: 'hello world' }
    expect(node.asked.map(({ input }) => input)).toEqual([
      [system, user('one')],
      [system, user('one'), assistant, user('two')],
      [system, user('three')],
    ])
  })

  it('status and workers print what it says', async () => {
    const { home, args } = await rig()
    const status = await runMain(home, args('status', '--json'))
    expect(JSON.parse(status.stdout)).toEqual(sampleStatus)
    expect((await runMain(home, args('status'))).stdout).toMatch(
      /^model +tiny: ready, 2 slots, 512 tokens of context, cpu$/m,
    )
    expect(await runMain(home, args('workers', '--json'))).toMatchObject({ code: 0, stdout: '[]\n' })
  })
})

async function* endless(signal: AbortSignal | undefined): AsyncGenerator<AnswerChunk> {
  for (let token = 0; ; token++) {
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
    yield { text: 'word ', tokens: [token] }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
