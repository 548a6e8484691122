/** Stands before the path of the file on a trial's command line. */
export const trialMark = '--qmesh-try-model-file'

/** Exit code for an orderly refusal of the engine; on Windows `abort()` is 3. */
export const refusedExitCode = 64

/** Exit code for a file that would end the process of the engine at some text, which none that was tried is. */
export const unsoundExitCode = 65
