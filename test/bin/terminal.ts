import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { paper } from '../runtime/terminal/paper-screen.ts'

/** Whether this machine has `script` of util-linux, which lends a pseudo terminal. */
export const hasTerminal =
  process.platform === 'linux' && spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0

const size = { rows: 20, columns: 70 }

export interface TerminalRun {
  /** Everything that was written to the terminal so far, orders and all. */
  said(): string
  /** What a person sees on it once the command has ended. */
  seen(): Promise<readonly string[]>
}

/** Starts the command line, from the sources, on a pseudo terminal of its own. */
export function startOnTerminal(home: string, args: readonly string[]): TerminalRun {
  const root = new URL('../..', import.meta.url).pathname
  const tsx = new URL('../../node_modules/tsx/dist/esm/index.mjs', import.meta.url).href
  const words = [process.execPath, '--import', tsx, join(root, 'bin/qmesh-node.ts'), ...args]
  const line = `stty rows ${size.rows} cols ${size.columns}; exec ${words.map((word) => `'${word}'`).join(' ')}`
  const child = spawn('script', ['-qec', line, '/dev/null'], {
    env: { PATH: process.env['PATH'], HOME: home, TERM: 'xterm', SHELL: '/bin/sh' },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const closed = once(child, 'close')
  return {
    said: () => said,
    seen: async () => {
      await closed
      const screen = paper(size.columns, size.rows)
      screen.write(said)
      return screen.lines()
    },
  }
}
