import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import Corestore from 'corestore'
import { toLogDamaged } from './log-damaged.ts'

/**
 * Opens a Corestore that may have been copied from elsewhere. The folder is created when it is missing.
 *
 * @throws QMeshError `QM_LOG_DAMAGED` naming the folder
 */
export async function openStore(folder: string): Promise<Corestore> {
  let store: Corestore | undefined
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await removeOldNotes(folder)
    // A folder that was copied is welcome: the counter and the peers tell whether it is behind.
    store = new Corestore(folder, { allowBackup: true })
    await store.ready()
    return store
  } catch (error) {
    if (store) await closeStore(store)
    throw await toLogDamaged(folder, error)
  }
}

/** RocksDB leaves a text file of its notes behind at every start, up to a thousand of them. */
async function removeOldNotes(folder: string): Promise<void> {
  const files = await readdir(join(folder, 'db')).catch(() => [])
  for (const file of files)
    if (file.startsWith('LOG.old.')) await rm(join(folder, 'db', file), { force: true })
}

/** Never rejects. A store with a core that could not be opened rejects before it lets go of its files. */
export async function closeStore(store: Corestore): Promise<void> {
  try {
    await store.close()
  } catch {
    await store.storage.close().catch(() => undefined)
  }
}
