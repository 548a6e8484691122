import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { NodeStatus, RequestSummary } from '../../../runtime/index.ts'
import {
  createControlRig,
  sampleExplanation,
  sampleStatus,
  workerWith,
} from '../../runtime/support/control-rig.ts'
import { tempDir } from '../../runtime/support/temp-dir.ts'
import { cli, runMain, startCli } from '../cli.ts'

const timeout = 30_000

const otherId = '12'.repeat(32)
const worker = workerWith('tiny')
const totals = { servedPromptTokens: 5, givenModelBytes: 0, fetchedModelBytes: 0 }

/** A node of paper that gives and takes tokens with every look. */
async function rig(status: Partial<NodeStatus> = {}) {
  let looks = 0
  const { attempts: _, ...answered } = sampleExplanation
  const open: RequestSummary = {
    requestId: '56'.repeat(16),
    askedAt: new Date().toISOString(),
    state: 'open',
    model: 'tiny',
    localOnly: false,
    workerId: otherId,
    tries: 1,
    handovers: 2,
    tokens: 0,
  }
  const node = await createControlRig({
    port: {
      status: () => {
        looks++
        return {
          ...sampleStatus,
          account: { tier: 'silver', score: 123, balance: 4.5, line: 1 },
          totals: { ...totals, servedTokens: 1_000 * looks, receivedTokens: 7 },
          ...status,
        }
      },
      workers: () => [worker],
      requests: () => [
        { ...answered, workerId: sampleStatus.id },
        { ...open, tokens: looks },
      ],
    },
  })
  const home = await tempDir()
  return { node, home, args: (...rest: string[]) => ['top', '--data-dir', node.dataDir, ...rest] }
}

describe('top', { timeout }, () => {
  it('--once prints the node, its workers and its requests', async () => {
    const { home, args } = await rig()
    const { code, stdout, stderr } = await runMain(home, args('--once'))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`${sampleStatus.id.slice(0, 12)}… · silver · up 1 s · online · 2 peers\n`)
    expect(stdout).toContain('idle (90) · serving · queue 1/10 · slots 1/2 · queue-watch restarting\n')
    expect(stdout).toContain('tokens in – (7) · out – (1000) · score 123 · credit 4.500\n')
    expect(stdout).toContain('tiny ready\n')
    expect(stdout).toMatch(/^121212121212… +gold +light \(71\) +1\/8 +2\/2 +120 ms +20\.3 +1 +tiny$/m)
    // What is open comes first, whatever came last.
    expect(stdout).toMatch(/^565656565656… +open +1 +– +\d+ ms +2 +121212121212… +tiny\ncdcdcdcdcdcd…/m)
    expect(stdout).toMatch(/^cdcdcdcdcdcd… +answered +30 +34\.9 +860 ms +1 +this machine +any$/m)
  })

  it('without a terminal it prints a line a look, with rates, until it is interrupted', async () => {
    const { home, args } = await rig()
    const child = startCli(home, args('--every', '0.1'))
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await expect.poll(() => said.split('\n').length).toBeGreaterThan(3)
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await exited).toEqual([143, null])
    const [first, second] = said.split('\n')
    expect(first).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}abababababab… · idle \(90\) .* · out –$/)
    expect(second).toMatch(/ · 1 worker · 1 open · in 0\.0\/s · out \d+\.\d\/s$/)
    expect(said).not.toContain('\u001B')
  })

  it('--json prints a document a line, the end of the node, too', async () => {
    const { node, home, args } = await rig()
    const child = startCli(home, args('--json', '--every', '0.1'))
    let said = ''
    let complained = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complained += text))
    await expect.poll(() => said.split('\n').length).toBeGreaterThan(3)
    const closed = once(child, 'close')
    await node.close()
    expect(await closed).toEqual([1, null])
    const documents = said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(documents[0]).toMatchObject({ status: { id: sampleStatus.id }, workers: [{ tier: 'gold' }] })
    expect(documents[0]).not.toHaveProperty('tokensPerSecond')
    expect(documents[1]).toMatchObject({ tokensPerSecond: { received: 0, served: expect.any(Number) } })
    expect(documents.at(-1)).toEqual({
      error: { code: 'QM_NODE_STOPPED', message: expect.stringContaining('the node') },
    })
    expect(complained).toMatch(/^error QM_NODE_STOPPED: the node/)
  })

  it('ends with the node, and without its reader', async () => {
    const { node, home, args } = await rig()
    const child = startCli(home, args('--every', '0.1'))
    await once(child.stdout, 'data')
    const exited = once(child, 'exit')
    child.stdout.destroy()
    expect(await exited).toEqual([0, null])
    await node.close()
    const late = await cli(home, args())
    expect(late).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error QM_NODE_NOT_RUNNING/) })
  })

  it.each([['0'], ['x']])('--every %s is a mistake', async (every) => {
    const run = await runMain(await tempDir(), ['top', '--every', every])
    expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining('--every must be a number') })
  })
})

const hasScript =
  process.platform === 'linux' && spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
const [taken, given] = ['\u001B[?1049h', '\u001B[?25h\u001B[?1049l']

describe.skipIf(!hasScript)('top on a terminal', { timeout }, () => {
  /** A pseudo terminal; what is written to its input are keys. */
  async function start(status: Partial<NodeStatus> = {}) {
    const { node, home, args } = await rig(status)
    const root = new URL('../../..', import.meta.url).pathname
    const tsx = new URL('../../../node_modules/tsx/dist/esm/index.mjs', import.meta.url).href
    const command = [process.execPath, '--import', tsx, join(root, 'bin/qmesh-node.ts'), ...args()]
    // The shell says how the terminal was left, and with which code.
    const line = `stty rows 12 cols 50; echo pid $$; ${command.join(' ')}; code=$?; echo; echo ended $code; stty -a | grep -o -- '-*icanon'`
    const terminal = spawn('script', ['-qec', line, '/dev/null'], {
      env: { PATH: process.env['PATH'], HOME: home, TERM: 'xterm', SHELL: '/bin/sh' },
    })
    onTestFinished(() => void terminal.kill('SIGKILL'))
    let said = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await expect.poll(() => said).toContain('q leaves')
    return {
      node,
      terminal,
      said: () => said,
      closed: async () => {
        if (terminal.exitCode === null) await once(terminal, 'close')
        return said
      },
    }
  }

  it('q leaves it as it was', async () => {
    const { terminal, closed, said } = await start({ name: 'evil\u001B]0;owned\u0007' })
    expect(said()).toContain(taken)
    expect(said()).toContain('evil␛]0;owned␇')
    terminal.stdin.write('q')
    const all = await closed()
    expect(all.indexOf(given)).toBeGreaterThan(all.indexOf(taken))
    expect(all).toMatch(/ended 0\s+icanon/)
  })

  it.each([
    ['Ctrl-C', 130],
    ['the end of the node', 1],
  ])('%s leaves it as it was, with %d', async (how, code) => {
    const { terminal, node, closed } = await start()
    if (how === 'Ctrl-C') terminal.stdin.write('\u0003')
    else await node.close()
    const all = await closed()
    expect(all).toContain(given)
    expect(all.replace(given, '')).not.toContain(given)
    expect(all).toMatch(new RegExp(`ended ${code}\\s+icanon`))
    if (code === 1) expect(all.slice(all.indexOf(given))).toContain('error QM_NODE_STOPPED')
  })

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('%s leaves it as it was, with %d', async (signal, code) => {
    const { closed, said } = await start()
    const shell = Number(/pid (\d+)/.exec(said())?.[1])
    const [child] = String(spawnSync('ps', ['-o', 'pid=', '--ppid', String(shell)]).stdout)
      .trim()
      .split('\n')
    process.kill(Number(child), signal)
    const all = await closed()
    expect(all).toContain(given)
    expect(all).toMatch(new RegExp(`ended ${code}\\s+icanon`))
  })
})
