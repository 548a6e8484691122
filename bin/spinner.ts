import type { Ora } from 'ora'
import { plainText } from '../runtime/plain-text.ts'

export interface Spinner {
  /** Says what is being waited for. */
  text(text: string): void
  /** Takes it off the terminal for good; may be called again. */
  stop(): void
}

/** Milliseconds that something may take without a word. */
const patienceMs = 1_000

/**
 * Whether there is a terminal that can show one. ora counts lines by dividing by the width, and some terminals (a serial
 * line, a pty without a size) say 0: it would erase lines for ever.
 */
export const isShown = (): boolean => process.stderr.isTTY && process.stderr.columns > 0

/** Shows, on a terminal only and after a second only, that something is going on. */
export function createSpinner(initial: string): Spinner {
  if (!isShown()) return { text: () => undefined, stop: () => undefined }
  let current = plainText(initial)
  let ora: Ora | undefined
  let isStopped = false
  const start = async (): Promise<void> => {
    const { default: createOra } = await import('ora')
    // Standard input stays ours: Ctrl-C must reach the command, and `chat` reads lines.
    if (!isStopped) ora = createOra({ text: current, discardStdin: false }).start()
  }
  const timer = setTimeout(() => void start(), patienceMs)
  return {
    text: (text) => {
      current = plainText(text)
      if (ora) ora.text = current
    },
    stop: () => {
      isStopped = true
      clearTimeout(timer)
      // Once only: each time ora moves the cursor to the first column, and what stands there by now is not its own.
      ora?.stop()
      ora = undefined
    },
  }
}
