/** Stands before the path of the file on a trial's command line. */
export const trialMark = '--qmesh-try-model-file'

/** Exit code for an orderly refusal of the engine; on Windows `abort()` is 3. */
export const refusedExitCode = 64
