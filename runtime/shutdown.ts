import { endAtOnce } from './end-at-once.ts'
import { exitCodes } from './exit-codes.ts'

export interface ShutdownOptions {
  /** Stops everything in order. Called once. */
  readonly stop: (signal: NodeJS.Signals) => Promise<void>
  /** Milliseconds that `stop` may take before the process ends anyway. */
  readonly deadlineMs: number
  /** Told when a signal came, before `stop`; `isForced` at the second one. */
  readonly onSignal?: (signal: NodeJS.Signals, isForced: boolean) => void
  /** A `stop` that rejected, or a deadline that passed. */
  readonly onFailure?: (error: Error) => void
  /** Ends the process whatever it is in; replaced in tests. */
  readonly end?: (signal: NodeJS.Signals) => void
}

export interface Shutdown {
  /** The exit code of an orderly stop that a signal began. Never resolves without a signal. */
  readonly stopped: Promise<number>
  /** Stops listening to signals. */
  dispose(): void
}

const signals = ['SIGINT', 'SIGTERM'] as const

/**
 * The first SIGINT or SIGTERM stops in order, within a deadline; the second ends the process at once. Whoever stops a
 * node by hand twice means it, and an init system that waits longer than the deadline would kill it less politely.
 */
export function listenForShutdown(options: ShutdownOptions): Shutdown {
  const { stop, deadlineMs, onSignal, onFailure, end = endAtOnce } = options
  let isStopping = false
  let onStopped: (code: number) => void = () => undefined
  const stopped = new Promise<number>((resolve) => (onStopped = resolve))

  const begin = async (signal: NodeJS.Signals): Promise<void> => {
    const timer = setTimeout(() => {
      onFailure?.(new Error(`stopping took longer than ${deadlineMs} ms`))
      end(signal)
    }, deadlineMs)
    try {
      await stop(signal)
      onStopped(exitCodes.ok.code)
    } catch (error) {
      onFailure?.(error as Error)
      onStopped(exitCodes.failure.code)
    } finally {
      clearTimeout(timer)
    }
  }
  const onProcessSignal = (signal: NodeJS.Signals): void => {
    onSignal?.(signal, isStopping)
    if (isStopping) return end(signal)
    isStopping = true
    void begin(signal)
  }
  for (const signal of signals) process.on(signal, onProcessSignal)
  return {
    stopped,
    dispose: () => {
      for (const signal of signals) process.off(signal, onProcessSignal)
    },
  }
}
