import { readFile, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { lock as lockFile } from 'proper-lockfile'
import { z } from 'zod'
import { QMeshError } from '../protocol/index.ts'
import { writeFileAtomically } from '../actors/files/atomic-file.ts'

/**
 * One node at a time on a data directory.
 *
 * The lock is a folder that its owner touches every few seconds (proper-lockfile), so that it also works where no
 * process id can be checked: another container or another machine. An untouched one is stale after `staleMs`. Nobody
 * wants to wait that long after a crash, so beside it lies who holds it: on the same machine, a dead owner's lock is
 * taken over at once, and a stopped (SIGSTOP) owner's is not taken over at all.
 */
const staleMs = 15_000

const ownerSchema = z.object({ pid: z.number().int().positive(), host: z.string(), startedAt: z.string() })
type Owner = z.infer<typeof ownerSchema>

export interface DataDirLock {
  release(): Promise<void>
}

/**
 * @param onLost called when the lock was lost while held: the folder was removed, or somebody took it by force.
 * @throws QMeshError `QM_DATA_DIR_LOCKED` naming the process if it is known
 */
export async function lockDataDir(dir: string, onLost: () => void): Promise<DataDirLock> {
  const lockPath = join(dir, 'lock')
  const ownerPath = join(dir, 'lock-owner.json')
  // Looking at the owner, removing a dead one's lock and taking it must not be interleaved with another node doing
  // the same, or the second would remove the fresh lock of the first.
  const guardPath = join(dir, 'lock-guard')
  // proper-lockfile keeps its books by the first argument, so the two locks must not share it.
  const leaveGuard = await lockFile(guardPath, {
    lockfilePath: guardPath,
    realpath: false,
    stale: 2_000,
    retries: { retries: 30, minTimeout: 50, maxTimeout: 150, factor: 1.2 },
    onCompromised: () => undefined,
  }).catch((error: unknown) => refuse(error, dir, undefined))
  try {
    const owner = await readOwner(ownerPath)
    if (owner && isHere(owner)) {
      if (isRunning(owner)) refuse(undefined, dir, owner)
      await rm(lockPath, { recursive: true, force: true })
    }
    let isLost = false
    const release = await lockFile(dir, {
      lockfilePath: lockPath,
      stale: staleMs,
      onCompromised: () => {
        isLost = true
        onLost()
      },
    }).catch((error: unknown) => refuse(error, dir, owner))
    const self: Owner = { pid: process.pid, host: hostname(), startedAt: startedAt(process.pid) ?? '' }
    await writeFileAtomically(ownerPath, JSON.stringify(self))
    const give = async (): Promise<void> => {
      // Once it was lost the name there is the next owner's.
      if (!isLost) await rm(ownerPath, { force: true })
      // Not held any more (lost, or the folder is gone) is as good as released.
      await release().catch(() => undefined)
    }
    let given: Promise<void> | undefined
    // Given back twice it would be the next owner's name that goes.
    return { release: () => (given ??= give()) }
  } finally {
    await leaveGuard().catch(() => undefined)
  }
}

function refuse(error: unknown, dir: string, owner: Owner | undefined): never {
  if (error !== undefined && (error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error
  const who = owner ? ` by process ${owner.pid}${isHere(owner) ? '' : ` on ${owner.host}`}` : ''
  throw new QMeshError(
    'QM_DATA_DIR_LOCKED',
    `the data directory ${dir} is in use${who}; stop that node, or choose another folder with --data-dir`,
    { cause: error },
  )
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return ownerSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

const isHere = (owner: Owner): boolean => owner.host === hostname()

/** Process ids are used again, in a container almost at once: the start time tells two apart where it can be read. */
function isRunning(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // Not allowed to signal it means that it is there.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = startedAt(owner.pid)
  return now === undefined || owner.startedAt === '' || now === owner.startedAt
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
