import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { readCgroup, type ReadText } from '../health/cgroup.ts'

/**
 * Cores that do maths well: physical ones, because two threads of the engine on the halves of one core spin against
 * each other, and no more than affinity and a control group's quota let this process use. At least 1. The engine counts
 * again for itself, and takes the smaller number.
 */
export async function countMathCores(read: ReadText = readText): Promise<number> {
  const usable = availableParallelism()
  const [physical, { cpu }] = await Promise.all([countPhysical(read), readCgroup(read)])
  const quota = cpu ? Math.floor(cpu.cores) : usable
  return Math.max(1, Math.min(usable, physical ?? usable, quota))
}

/** Distinct sets of sibling threads; undefined where the system does not say. */
async function countPhysical(read: ReadText): Promise<number | undefined> {
  const siblings = await Promise.all(
    cpus().map((_, index) => read(`/sys/devices/system/cpu/cpu${index}/topology/thread_siblings_list`)),
  )
  const known = siblings.filter((list) => list !== undefined)
  return known.length === 0 ? undefined : new Set(known).size
}

const readText: ReadText = (path) => readFile(path, 'utf8').catch(() => undefined)
