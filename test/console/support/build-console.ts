import { execFile } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const root = new URL('../../..', import.meta.url).pathname

/** Builds the console unless what was built last is newer than all that it is made of. */
export async function buildConsole(): Promise<void> {
  const built = join(root, 'dist/console/main.js')
  const source = join(root, 'console')
  const files = (await readdir(source, { recursive: true })).map((name) => join(source, name))
  const latestMs = Math.max(...files.map((file) => statSync(file).mtimeMs))
  if (existsSync(built) && statSync(built).mtimeMs > latestMs) return
  await promisify(execFile)('npm', ['run', '-s', 'build:console'], { cwd: root })
}
