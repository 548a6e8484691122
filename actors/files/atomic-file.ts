import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file that is there whole or not at all, even after a power cut: a temporary file beside it is flushed,
 * then renamed. Mode 0600.
 */
export async function writeFileAtomically(path: string, data: string | Uint8Array): Promise<void> {
  await withTemporary(path, data, (temporary) => rename(temporary, path))
}

/** The same for a file that must never be overwritten; rejects with `EEXIST` when it is there. */
export async function createFileAtomically(path: string, data: string | Uint8Array): Promise<void> {
  await withTemporary(path, data, async (temporary) => {
    try {
      // A link fails when the name is taken, which a rename would silently replace.
      await link(temporary, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error
      // File systems without hard links (FAT, some network shares).
      await copyFile(temporary, path, constants.COPYFILE_EXCL)
      await flush(path)
    }
  })
}

async function withTemporary(
  path: string,
  data: string | Uint8Array,
  place: (temporary: string) => Promise<void>,
) {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    await place(temporary)
    await flush(dirname(path)).catch(() => undefined)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Flushing a folder makes the new name survive; some systems cannot, and lose nothing that was there before. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
