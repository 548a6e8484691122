import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { main } from '../../bin/main.ts'

const root = new URL('../..', import.meta.url).pathname

export interface CliRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Standard input; absent: empty. */
  readonly input?: string
  /** A file or a device that standard output goes to. */
  readonly into?: string
}

/** The command line as a user starts it, from the sources, away from the configuration of whoever runs the tests. */
export function startCli(home: string, args: readonly string[], { env, cwd, into }: CliOptions = {}) {
  const tsx = new URL('../../node_modules/tsx/dist/esm/index.mjs', import.meta.url).href
  const words = [process.execPath, '--import', tsx, join(root, 'bin/qmesh-node.ts'), ...args]
  const [file = '', ...rest] = into === undefined ? words : ['sh', '-c', 'exec "$@" > "$0"', into, ...words]
  const child = spawn(file, rest, {
    cwd: cwd ?? home,
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_DATA_HOME: join(home, 'data'),
      // Several nodes of several tests share this machine.
      QMESH_GATEWAY_PORT: '0',
      ...env,
    },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** Runs it to its end. */
export function cli(home: string, args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const child = startCli(home, args, options)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.end(options.input ?? '')
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** The same within this process, which is much faster: for everything that needs neither standard input nor signals. */
export async function runMain(
  home: string,
  args: readonly string[],
  { env = {} }: CliOptions = {},
): Promise<CliRun> {
  const written = { stdout: '', stderr: '' }
  const capture = (name: 'stdout' | 'stderr') =>
    vi.spyOn(process[name], 'write').mockImplementation((text, done?: unknown) => {
      written[name] += String(text)
      if (typeof done === 'function') done()
      return true
    })
  const spies = [capture('stdout'), capture('stderr'), vi.spyOn(process, 'cwd').mockReturnValue(home)]
  const own = {
    HOME: home,
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_DATA_HOME: join(home, 'data'),
    GPU_LAYERS: '',
  }
  for (const name of Object.keys(process.env).filter((key) => key.startsWith('QMESH_'))) vi.stubEnv(name, '')
  for (const [name, value] of Object.entries({ ...own, ...env })) vi.stubEnv(name, value)
  try {
    const code = await main(args)
    return { code, ...written }
  } finally {
    for (const spy of spies) spy.mockRestore()
    vi.unstubAllEnvs()
  }
}
