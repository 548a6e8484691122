import { readdir, rename, rm, stat } from 'node:fs/promises'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { join } from 'node:path'

/** Files kept for a look at what went wrong; older ones make room. Each may be gigabytes. */
const filesMax = 2

/** Where files go that failed a check. Nothing in it is ever loaded or served. */
export class Quarantine {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Moves a file there, with the reason beside it. */
  async take(path: string, key: string, reason: string): Promise<void> {
    const name = join(this.#dir, key)
    await rename(path, `${name}.gguf`)
    await writeFileAtomically(
      `${name}.json`,
      `${JSON.stringify({ key, reason, at: new Date().toISOString() })}\n`,
    )
    for (const { name } of (await this.list()).slice(filesMax)) await this.#remove(name)
  }

  /** The newest first. */
  async list(): Promise<readonly { readonly name: string; readonly bytes: number }[]> {
    const names = (await readdir(this.#dir)).filter((name) => name.endsWith('.gguf'))
    const files = await Promise.all(
      names.map(async (file) => {
        const stats = await stat(join(this.#dir, file)).catch(() => undefined)
        return { name: file.slice(0, -'.gguf'.length), bytes: stats?.size ?? 0, at: stats?.ctimeMs ?? 0 }
      }),
    )
    return files.toSorted((a, b) => b.at - a.at).map(({ name, bytes }) => ({ name, bytes }))
  }

  async clear(): Promise<void> {
    for (const { name } of await this.list()) await this.#remove(name)
  }

  async #remove(name: string): Promise<void> {
    await rm(join(this.#dir, `${name}.gguf`), { force: true })
    await rm(join(this.#dir, `${name}.json`), { force: true })
  }
}
