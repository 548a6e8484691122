import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Makes what a store has written survive a power cut. RocksDB hands each write to the operating system, so a killed
 * process loses nothing, but it does not wait for the disk. Its write-ahead files are ours to flush all the same.
 */
export async function flushWal(folder: string): Promise<void> {
  const db = join(folder, 'db')
  const files = await readdir(db)
  await Promise.all(files.filter((file) => file.endsWith('.log')).map((file) => flush(join(db, file))))
}

async function flush(path: string): Promise<void> {
  let file
  try {
    file = await open(path, 'r+')
  } catch (error) {
    // RocksDB had written its content elsewhere, flushed that and deleted the file.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}
