import type { ErrorCode } from '../protocol/index.ts'

/** What a command tells the shell. `docs/CONFIG.md` and `--help` show this table. */
export const exitCodes = {
  ok: { code: 0, meaning: 'it worked; `up` and `bootstrap`: stopped in order after a signal' },
  failure: { code: 1, meaning: 'it failed; the line on standard error says why' },
  usage: { code: 2, meaning: 'the command line or the configuration is wrong' },
  interrupted: { code: 130, meaning: 'stopped by Ctrl-C (SIGINT): a cancelled answer, or a forced stop' },
  terminated: { code: 143, meaning: 'stopped by SIGTERM: a cancelled answer, or a forced stop' },
} as const

const usageErrors: readonly ErrorCode[] = ['QM_USAGE', 'QM_CONFIG_SYNTAX', 'QM_CONFIG_INVALID']

export const toExitCode = (code: ErrorCode): number =>
  usageErrors.includes(code) ? exitCodes.usage.code : exitCodes.failure.code

export const signalExitCode = (signal: NodeJS.Signals): number =>
  signal === 'SIGINT' ? exitCodes.interrupted.code : exitCodes.terminated.code
