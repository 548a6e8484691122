import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { onDisk } from '../store/store-files.ts'

const memoSchema = z.object({
  /** What the source gave to tell its version of the file, for example an ETag. */
  validator: z.string().max(1_024).optional(),
  /** Bytes of it are in the file that nothing has proven. */
  hasGiven: z.boolean(),
})
const fileSchema = z.record(z.string().max(4_096), memoSchema)
type Memo = z.infer<typeof memoSchema>

const memosMax = 64

/** What is to be known of the sources of an unfinished file when it is taken up again: who gave, and which version. */
export class SourceMemos {
  readonly #path: string
  readonly #memos: Map<string, Memo>
  #saving: Promise<void> = Promise.resolve()

  private constructor(path: string, memos: Map<string, Memo>) {
    this.#path = path
    this.#memos = memos
  }

  /** A file that cannot be read counts as an empty one: then nothing can be blamed, and nothing resumed blindly. */
  static async open(path: string): Promise<SourceMemos> {
    try {
      return new SourceMemos(
        path,
        new Map(Object.entries(fileSchema.parse(JSON.parse(await readFile(path, 'utf8'))))),
      )
    } catch {
      return new SourceMemos(path, new Map())
    }
  }

  validator(source: string): string | undefined {
    return this.#memos.get(source)?.validator
  }

  /** Sources with unproven bytes in the file. */
  givers(): readonly string[] {
    return [...this.#memos].flatMap(([source, { hasGiven }]) => (hasGiven ? [source] : []))
  }

  async note(source: string, change: Partial<Memo>): Promise<void> {
    const before = this.#memos.get(source) ?? { hasGiven: false }
    const after = { ...before, ...change }
    if (before.validator === after.validator && before.hasGiven === after.hasGiven) return
    if (this.#memos.size >= memosMax && !this.#memos.has(source)) return
    this.#memos.set(source, after)
    await this.#save()
  }

  async clear(): Promise<void> {
    this.#memos.clear()
    await this.#save()
  }

  #save(): Promise<void> {
    this.#saving = this.#saving
      .catch(() => undefined)
      .then(() =>
        onDisk(this.#path, async () => {
          const temporary = `${this.#path}.new`
          await writeFile(temporary, JSON.stringify(Object.fromEntries(this.#memos)))
          await rename(temporary, this.#path)
        }),
      )
    return this.#saving
  }
}
