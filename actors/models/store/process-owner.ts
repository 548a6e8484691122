import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'

/** Which process wrote something; see `isRunning`. */
export const processOwnerSchema = z.object({
  pid: z.number().int().positive(),
  host: z.string().max(255),
  startedAt: z.string().max(64),
})
export type ProcessOwner = Readonly<z.infer<typeof processOwnerSchema>>

export const thisProcess = (): ProcessOwner => ({
  pid: process.pid,
  host: hostname(),
  startedAt: startedAt(process.pid) ?? '',
})

/**
 * Whether a process is still there. One of another machine, on a shared disk, counts as running: nobody here can know.
 * Process ids are used again, in a container almost at once: the start time tells two apart where it can be read.
 */
export function isRunning(owner: ProcessOwner): boolean {
  if (owner.host !== hostname()) return true
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // Not allowed to signal it means that it is there.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = startedAt(owner.pid)
  return now === undefined || owner.startedAt === '' || now === owner.startedAt
}

/** For a message: `process 4711`, or where it runs when that is elsewhere. */
export function describeOwner({ pid, host }: ProcessOwner): string {
  if (host !== hostname()) return `process ${pid} on ${host}`
  return pid === process.pid ? 'this process' : `process ${pid}`
}

/** Linux: clock ticks from boot to the start of the process, the 22nd field of its `stat`. Elsewhere unknown. */
function startedAt(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses and may hold anything, so count from its end.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
