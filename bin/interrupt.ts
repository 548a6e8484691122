import { endAtOnce } from '../runtime/end-at-once.ts'
import { signalExitCode } from '../runtime/exit-codes.ts'

/** What SIGINT and SIGTERM do to a command that gives one answer. */
export interface Interrupt {
  readonly signal: AbortSignal
  /** The exit code for the signal that came, or `undefined`. */
  readonly exitCode: number | undefined
  dispose(): void
}

const signals = ['SIGINT', 'SIGTERM'] as const

/** The first signal cancels; the second ends the process at once. */
export function listenForInterrupt(): Interrupt {
  const abort = new AbortController()
  let exitCode: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (exitCode !== undefined) endAtOnce(signal)
    exitCode = signalExitCode(signal)
    abort.abort()
  }
  for (const signal of signals) process.on(signal, onSignal)
  return {
    signal: abort.signal,
    get exitCode() {
      return exitCode
    },
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
