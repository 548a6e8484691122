import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

const shutdown = new URL('../../runtime/shutdown.ts', import.meta.url).href

it.skipIf(process.platform === 'win32')(
  'ends a process with a thread that is blocked in the kernel',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'qmesh-end-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const script = `
    import { Worker } from 'node:worker_threads'
    import { listenForShutdown } from '${shutdown}'
    const say = (line) => process.stdout.write(line + '\\n')
    listenForShutdown({ stop: () => new Promise(() => say('stopping')), deadlineMs: 60_000 })
    new Worker(\`
      require('node:worker_threads').parentPort.postMessage('')
      require('node:fs').openSync('${pipe}', 'r')
    \`, { eval: true, execArgv: [] }).once('message', () => say('blocked'))
  `
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const exit = once(child, 'exit')
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      for (const _ of String(chunk).trim().split('\n')) child.kill('SIGTERM')
    }
    expect(await exit).toEqual([null, 'SIGTERM'])
  },
)
