import { brokenAnswer } from './engine-fault.ts'
import { engineBounds } from './settings.ts'

/**
 * The `data:` lines of a stream of server-sent events, from bytes that are cut anywhere. In this API each of them is an
 * event by itself; comments and other fields say nothing.
 */
export class EventLines {
  readonly #decoder = new TextDecoder()
  /** Parts of the line that has not ended. */
  #open: string[] = []
  #openChars = 0

  /** @throws EngineFault for a line that is too long */
  push(bytes: Uint8Array): string[] {
    const lines = this.#decoder.decode(bytes, { stream: true }).split('\n')
    const found: string[] = []
    for (const [index, part] of lines.entries()) {
      this.#openChars += part.length
      if (this.#openChars > engineBounds.lineCharsMax) {
        throw brokenAnswer(`a line of more than ${engineBounds.lineCharsMax} characters`)
      }
      this.#open.push(part)
      if (index === lines.length - 1) break
      const line = this.#open.join('').replace(/\r$/, '')
      this.#open = []
      this.#openChars = 0
      if (line.startsWith('data:')) found.push(line.slice(5).trim())
    }
    return found
  }
}
