import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { entriesOf, makeFolder, makeKeyPair, makeStore, MemoryCounter, readAll } from './log-rig.ts'

const script = fileURLToPath(new URL('log-child.ts', import.meta.url))

/** @param fileKiB the longest file that the process may write: what a full disk looks like to it. */
function start(args: readonly string[], fileKiB = 'unlimited'): ChildProcess {
  const node = [process.execPath, '--import', 'tsx', script, ...args]
  // The shell becomes Node.js, so that a signal reaches it.
  const child = spawn('sh', ['-c', `ulimit -f ${fileKiB}; exec "$@"`, 'sh', ...node], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

async function* linesOf(child: ChildProcess): AsyncGenerator<string> {
  if (child.stdout) yield* createInterface({ input: child.stdout })
}

describe('a log', () => {
  it('holds all that was acknowledged after its process was killed in the middle of an append', async () => {
    const seed = randomBytes(32)
    const folder = join(await makeFolder(), 'logs')
    let acknowledged = 0
    for (const killAt of [40, 80, 120]) {
      const child = start([folder, seed.toString('hex'), '300', '100000'])
      const exited = once(child, 'exit')
      for await (const line of linesOf(child)) {
        const [what, length] = line.split(' ')
        if (what !== 'acknowledged') continue
        acknowledged = Number(length)
        if (acknowledged === killAt) child.kill('SIGKILL')
      }
      await exited
    }
    expect(acknowledged).toBeGreaterThanOrEqual(120)
    const log = await (await makeStore({ folder })).own(makeKeyPair(seed), new MemoryCounter())
    expect(log.state).toBe('ready')
    expect(log.length).toBeGreaterThanOrEqual(acknowledged)
    const entries = await readAll(log)
    for (const [index, entry] of entries.entries()) expect(entry.startsWith(`entry ${index} `)).toBe(true)
    expect(entries).toHaveLength(log.length)
    expect(await log.append(entriesOf(0, 1))).toBe(entries.length + 1)
  })

  it('loses nothing that was acknowledged on a full disk, and goes on when there is space again', async () => {
    const seed = randomBytes(32)
    const folder = join(await makeFolder(), 'logs')
    const child = start([folder, seed.toString('hex'), '4000', '5000'], '1000')
    const exited = once(child, 'exit')
    let acknowledged = 0
    const failures: string[] = []
    let isClosed = false
    for await (const line of linesOf(child)) {
      if (line.startsWith('acknowledged ')) acknowledged = Number(line.split(' ')[1])
      if (line.startsWith('failed ')) failures.push(line)
      if (line === 'closed') isClosed = true
    }
    expect(await exited).toEqual([0, null])
    expect(isClosed).toBe(true)
    expect(acknowledged).toBeGreaterThan(50)
    expect(failures.length).toBeGreaterThan(0)
    for (const failure of failures) {
      expect(failure).toContain('QM_LOG_DAMAGED')
      expect(failure).toContain(folder)
    }
    const log = await (await makeStore({ folder })).own(makeKeyPair(seed), new MemoryCounter())
    expect(log.length).toBeGreaterThanOrEqual(acknowledged)
    const entries = await readAll(log)
    for (const [index, entry] of entries.entries()) expect(entry.startsWith(`entry ${index} `)).toBe(true)
    expect(await log.append(entriesOf(0, 1))).toBe(entries.length + 1)
  })
})
