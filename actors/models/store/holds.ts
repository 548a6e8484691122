import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import type { ModelHash } from '../../../protocol/index.ts'
import { isRunning, type ProcessOwner, processOwnerSchema, thisProcess } from './process-owner.ts'
import { readSmall } from './store-files.ts'

/** Marks of the processes that have a model loaded or serve it, so that no other one removes its file. */
export class Holds {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** @returns gives it back */
  async take(hash: ModelHash): Promise<() => Promise<void>> {
    const path = join(this.#dir, `${hash}.${randomBytes(6).toString('hex')}`)
    await writeFileAtomically(path, JSON.stringify(thisProcess()))
    return () => rm(path, { force: true })
  }

  /** Who holds which model. The mark of a process that is gone counts for nothing, and is removed. */
  async all(): Promise<Map<ModelHash, ProcessOwner>> {
    const owners = new Map<ModelHash, ProcessOwner>()
    for (const name of await readdir(this.#dir)) {
      if (!/^[0-9a-f]{64}\.[0-9a-f]{12}$/.test(name)) continue
      const path = join(this.#dir, name)
      const owner = await readMark(path)
      if (owner && isRunning(owner)) owners.set(name.slice(0, 64), owner)
      else await rm(path, { force: true })
    }
    return owners
  }
}

async function readMark(path: string): Promise<ProcessOwner | undefined> {
  try {
    return processOwnerSchema.parse(JSON.parse((await readSmall(path, 4_096)) ?? ''))
  } catch {
    return undefined
  }
}
