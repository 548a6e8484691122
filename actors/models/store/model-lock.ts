import { randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { lock as lockFile } from 'proper-lockfile'
import { z } from 'zod'
import { QMeshError } from '../../../protocol/index.ts'
import { describeOwner, isRunning, processOwnerSchema, thisProcess } from './process-owner.ts'
import { placeNew } from './store-files.ts'

const ownerSchema = processOwnerSchema.extend({ nonce: z.string().max(64) })

/**
 * Takes a lock that belongs to one process at a time. It is a file with the name of its owner, put in place whole; the
 * lock of a process that is gone is taken over at once, so that a crash costs nobody a wait.
 *
 * @param what names it in the error
 * @returns gives it back
 * @throws QMeshError `QM_MODEL_BUSY` with the process that has it
 */
export async function takeLock(path: string, what: string): Promise<() => Promise<void>> {
  const nonce = randomBytes(12).toString('hex')
  const own = `${path}.${nonce}.tmp`
  await writeFile(own, JSON.stringify({ ...thisProcess(), nonce }), { mode: 0o600 })
  try {
    if (!(await placeNew(own, path))) await takeOver(path, own, what)
  } finally {
    await rm(own, { force: true })
  }
  return async () => {
    const owner = await readOwner(path)
    if (owner?.nonce === nonce) await rm(path, { force: true })
  }
}

/** Removing a dead owner's lock and taking it must not be interleaved with another process doing the same. */
async function takeOver(path: string, own: string, what: string): Promise<void> {
  const leaveGuard = await briefly(`${path}.guard`)
  try {
    const owner = await readOwner(path)
    if (owner && isRunning(owner)) throw busy(what, describeOwner(owner))
    await rm(path, { force: true })
    if (await placeNew(own, path)) return
    const other = await readOwner(path)
    throw busy(what, other ? describeOwner(other) : 'another process')
  } finally {
    await leaveGuard()
  }
}

/** A lock for a moment's work: others wait for it. A crash in between holds them up for two seconds. */
export async function briefly(path: string): Promise<() => Promise<void>> {
  const leave = await lockFile(path, {
    lockfilePath: path,
    realpath: false,
    stale: 2_000,
    retries: { retries: 60, minTimeout: 20, maxTimeout: 150, factor: 1.2 },
    onCompromised: () => undefined,
  }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error
    throw new QMeshError('QM_MODEL_BUSY', `${path} was held by others for too long; try again`, {
      cause: error,
    })
  })
  return () => leave().catch(() => undefined)
}

export const busy = (what: string, who: string): QMeshError =>
  new QMeshError('QM_MODEL_BUSY', `${what} is in use by ${who}; wait for it, or stop it`)

/** Undefined for none, and for one that a power cut left damaged. */
async function readOwner(path: string): Promise<z.infer<typeof ownerSchema> | undefined> {
  try {
    return ownerSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}
