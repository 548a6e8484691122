import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { inject, onTestFinished } from 'vitest'
import { linkPackages } from './install.ts'

/** A folder of somebody who has just installed what an example says, and copied the example into it. */
export interface FreshFolder {
  readonly path: string
  /** Starts a program in it, without any variables of whoever runs the tests. */
  start(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Started
  /** Runs one to its end. */
  run(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<ProgramRun>
}

export type Started = ReturnType<typeof startIn>

export interface ProgramRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** @param example a file of `docs/examples`, which the package brings along */
export async function createFreshFolder(example: string): Promise<FreshFolder> {
  const installed = join(inject('installedIn'), 'node_modules')
  const path = await mkdtemp(join(inject('installedIn'), 'fresh-'))
  const source = join(installed, 'qmesh/docs/examples', example)
  const [first, ...others] =
    /npm install ((?:[@a-z][a-z0-9@/-]*[ \n`])+)/
      .exec(await readFile(source, 'utf8'))?.[1]
      ?.split(/[ \n`]+/)
      .filter(Boolean) ?? []
  if (first !== 'qmesh') throw new Error(`${example} does not begin with what to install`)
  const modules = join(path, 'node_modules')
  await mkdir(modules)
  for (const name of ['qmesh', '.bin']) await symlink(join(installed, name), join(modules, name))
  await linkPackages(modules, others)
  await copyFile(source, join(path, example))
  const start: FreshFolder['start'] = (command, args, env = {}) => {
    const child = startIn(path, command, args, env)
    onTestFinished(() => void child.kill('SIGKILL'))
    return child
  }
  return { path, start, run: (...args) => outcome(start(...args)) }
}

/** Starts a program in a folder that is its home as well. */
export const startIn = (
  path: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) =>
  spawn(command, args, {
    cwd: path,
    env: {
      PATH: process.env['PATH'],
      HOME: path,
      XDG_CONFIG_HOME: join(path, 'config'),
      XDG_DATA_HOME: join(path, 'data'),
      ...env,
    },
  })

function outcome(child: Started): Promise<ProgramRun> {
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.end()
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}
