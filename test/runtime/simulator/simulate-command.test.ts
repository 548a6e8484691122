import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runMain, startCli } from '../../bin/cli.ts'

const slow = { timeout: 60_000 }

async function createHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'qmesh-simulate-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  return home
}

test('writes its report where it is told to', slow, async () => {
  const home = await createHome()
  const args = ['simulate', '--nodes', '10', '--rounds', '4', '--strategy', 'forks', '--json']
  const { code, stdout } = await runMain(home, [...args, '--out', join(home, 'out')])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ options: { nodes: [10], strategies: ['forks'] } })
  expect(await readFile(join(home, 'out/report.md'), 'utf8')).toMatch(
    /^# Simulation\n[^]*\| forks \| 3 \| 3 \| 3 \|/,
  )
  expect(JSON.parse(await readFile(join(home, 'out/result.json'), 'utf8'))).toEqual(JSON.parse(stdout))
})

test.each([
  [['--nodes', '5'], '--nodes must be a number from 10 to 10000, but it is "5"'],
  [['--misbehaving', '0.5'], '--misbehaving must be a number from 0 to 0.4, but it is "0.5"'],
  [['--strategy', 'lying'], '"lying" is no strategy: choose from invented-scores,'],
  [['--real-crypto', '--nodes', '200'], '--real-crypto works with up to 100 nodes'],
])('%j is refused in a sentence', slow, async (flags, sentence) => {
  const { code, stderr } = await runMain(await createHome(), ['simulate', ...flags])
  expect(stderr).toContain(`error QM_USAGE: ${sentence}`)
  expect(code).toBe(2)
})

test('Ctrl-C ends it, and the exit code says so', slow, async () => {
  const child = startCli(await createHome(), [
    'simulate',
    '--nodes',
    '300',
    '--rounds',
    '120',
    '--out',
    'out',
  ])
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)))
  // Before its listener is there, the signal ends it as it ends every program.
  const timer = setInterval(() => child.kill('SIGINT'), 2_000)
  onTestFinished(() => clearInterval(timer))
  expect([130, 'SIGINT']).toContain(await ended)
})
