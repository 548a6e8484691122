import { readFile, readdir } from 'node:fs/promises'
import type { Battery } from '../../machines/duty/index.ts'
import { readLinuxBattery } from './linux-battery.ts'

/** The part of the world that decides when a worker rests. */
export interface SurroundingsPort {
  /** Local time. */
  now(): Date
  /** Undefined where there is none, and on systems whose battery we cannot read. */
  battery(): Promise<Battery | undefined>
}

export const surroundings: SurroundingsPort = {
  now: () => new Date(),
  // Other systems tell by their own programs only, and starting one every second would cost more than it saves.
  battery: async () =>
    process.platform === 'linux'
      ? readLinuxBattery({ readText: (path) => readFile(path, 'utf8'), list: (path) => readdir(path) })
      : undefined,
}
