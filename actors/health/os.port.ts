import { readFile } from 'node:fs/promises'
import os from 'node:os'
import { valueOf, type ReadText } from './cgroup.ts'

/** The part of the operating system that health looks at; counters, so that whoever asks takes differences. */
export interface OsPort {
  /** Milliseconds of a clock that never jumps. */
  nowMs(): number
  /** Milliseconds that all processors together were busy and existed, since they started. */
  cpuTimes(): { readonly busyMs: number; readonly totalMs: number }
  cores(): number
  /** The one-minute load average; 0 where the system has none. */
  loadAverage(): number
  memory(): { readonly totalBytes: number; readonly availableBytes: number }
  /** Milliseconds of processor time that this process burnt, all its threads together. */
  ownCpuMs(): number
  /** Bytes that would come free if this process ended. */
  ownMemoryBytes(): Promise<number>
  readText: ReadText
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}

export const osPort: OsPort = {
  nowMs: () => performance.now(),
  cpuTimes: () => {
    let busyMs = 0
    let idleMs = 0
    for (const { times } of os.cpus()) {
      busyMs += times.user + times.nice + times.sys + times.irq
      idleMs += times.idle
    }
    return { busyMs, totalMs: busyMs + idleMs }
  },
  cores: () => os.availableParallelism(),
  loadAverage: () => os.loadavg()[0] ?? 0,
  memory: () => ({ totalBytes: os.totalmem(), availableBytes: os.freemem() }),
  ownCpuMs: () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  },
  ownMemoryBytes: async () => {
    const status = (await readText('/proc/self/status'))?.replaceAll(/:\s+/g, ' ').replaceAll(' kB', '')
    const anonymous = valueOf(status, 'RssAnon')
    if (anonymous === undefined) return process.memoryUsage.rss()
    // Mapped weights are file pages, which the system counts as available already, unless they are locked.
    const locked = Math.min(valueOf(status, 'VmLck') ?? 0, valueOf(status, 'RssFile') ?? 0)
    return (anonymous + (valueOf(status, 'RssShmem') ?? 0) + locked) * 1_024
  },
  readText,
}
