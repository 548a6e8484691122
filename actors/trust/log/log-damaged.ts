import { statfs } from 'node:fs/promises'
import { QMeshError } from '../../../protocol/index.ts'

/** Bytes below which the disk counts as full: RocksDB writes files of a few megabytes. */
const freeBytesMin = 16 * 1024 * 1024

/** `QM_LOG_DAMAGED` that names the folder, what went wrong and what to do. Never throws. */
export async function toLogDamaged(folder: string, cause: unknown): Promise<QMeshError> {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const isFull = await isDiskFull(folder)
  const advice = isFull
    ? 'The disk is full: free some space, the log goes on by itself.'
    : 'Stop any other process that uses the folder. If it is damaged, move it away and start again: the node gets its log back from its peers.'
  return new QMeshError('QM_LOG_DAMAGED', `The log in ${folder} cannot be used: ${reason}. ${advice}`, {
    cause,
  })
}

async function isDiskFull(folder: string): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize < freeBytesMin
  } catch {
    return false
  }
}
