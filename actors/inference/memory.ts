import { readFile } from 'node:fs/promises'
import { availableMemory } from 'node:process'
import { readCgroup, type ReadText } from '../health/cgroup.ts'

/**
 * Bytes that can still be taken without swapping or being killed: the machine's available memory, or less where a
 * control group (a container) allows less. Cached file pages count as available, they are given up under pressure.
 */
export async function availableMemoryBytes(read: ReadText = readText): Promise<number> {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec((await read('/proc/meminfo')) ?? '')?.[1]
  const machineBytes = kilobytes === undefined ? availableMemory() : Number(kilobytes) * 1024
  const { memory } = await readCgroup(read)
  return memory ? Math.max(0, Math.min(machineBytes, memory.limitBytes - memory.usedBytes)) : machineBytes
}

/** Absent files read as nothing: other systems have none of them. */
const readText: ReadText = (path) => readFile(path, 'utf8').catch(() => undefined)
