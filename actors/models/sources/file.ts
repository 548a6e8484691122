import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { checkNotCancelled, type FetchContext, type FileSource, type Probe, SourceFailed } from './source.ts'
import { writeMissing } from './http.ts'

const chunkBytes = 1024 * 1024

/** A file of this machine, or a folder in which a file of the right size lies: a USB stick, a share. */
export class LocalFileSource implements FileSource {
  readonly name: string
  readonly isProving = false
  readonly #path: string
  readonly #bytes: number | null

  /** @param bytes tells which file of a folder it is; null for an only one */
  constructor(path: string, bytes: number | null) {
    this.name = `file:${path}`
    this.#path = path
    this.#bytes = bytes
  }

  async probe(_signal: AbortSignal): Promise<Probe> {
    return { bytes: (await this.#find()).bytes }
  }

  async fetch({ target, signal, pace, onBytes }: FetchContext): Promise<void> {
    const { path, bytes } = await this.#find()
    if (bytes !== target.bytes) {
      throw new SourceFailed(`${path} has ${bytes} bytes, and the file should have ${target.bytes}`, {
        isLasting: true,
      })
    }
    const file = await open(path, 'r').catch((cause: unknown) => {
      throw new SourceFailed(`${path} cannot be read`, { isLasting: true, cause })
    })
    try {
      const buffer = Buffer.allocUnsafe(chunkBytes)
      for (const { start, end } of target.missing()) {
        for (let at = start; at < end;) {
          checkNotCancelled(signal)
          const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at)
          if (bytesRead === 0) {
            throw new SourceFailed(`${path} became shorter while it was read`, { isLasting: true })
          }
          await pace(bytesRead)
          await writeMissing(target, at, buffer.subarray(0, bytesRead))
          at += bytesRead
          onBytes(bytesRead)
        }
      }
    } finally {
      await file.close()
    }
  }

  async #find(): Promise<{ readonly path: string; readonly bytes: number }> {
    const stats = await stat(this.#path).catch((cause: unknown) => {
      throw new SourceFailed(`${this.#path} does not exist`, { isLasting: true, cause })
    })
    if (!stats.isDirectory()) return { path: this.#path, bytes: stats.size }
    const names = (await readdir(this.#path)).filter((name) => name.endsWith('.gguf'))
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#path, name)
        return { path, bytes: (await stat(path)).size }
      }),
    )
    const fitting = this.#bytes === null ? files : files.filter(({ bytes }) => bytes === this.#bytes)
    const [only] = fitting
    if (only && (this.#bytes !== null || fitting.length === 1)) return only
    throw new SourceFailed(`${this.#path} holds no file that could be this model`, { isLasting: true })
  }
}
