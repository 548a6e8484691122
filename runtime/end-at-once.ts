import { signalExitCode } from './exit-codes.ts'

/**
 * Ends the process as the signal would have, had nobody listened to it. `process.exit` joins the worker threads first,
 * and one that is blocked in a system call never lets it come back. The shell sees the same exit code either way.
 */
export function endAtOnce(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // The first process of a container is not ended by a signal that it does not listen to.
  process.exit(signalExitCode(signal))
}
