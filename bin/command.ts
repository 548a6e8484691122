import type { Command } from 'commander'

/** Adds a command to the program. `exit` tells the exit code; a command that returns without it has worked. */
export type AddCommand = (program: Command, exit: (code: number) => void) => void
