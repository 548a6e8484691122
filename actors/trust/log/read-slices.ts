import { QMeshError } from '../../../protocol/index.ts'
import type { LogAccess } from './log-access.ts'

/** Entries of one slice; at most 256 KiB. */
const sliceEntries = 64

/**
 * Entries `from` (included) to `to` (excluded) in slices, in order, as far as they are here without a gap. The log is
 * open only while a slice is read, so a slow reader holds nothing.
 *
 * @throws QMeshError `QM_LOG_DAMAGED` when an entry that should be here cannot be read
 */
export async function* readSlices(
  access: LogAccess,
  logKey: string,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array[], void> {
  if (!(await access.has(logKey))) return
  let start = from
  while (start < to) {
    const slice = await access.use(logKey, async (core) => {
      const end = Math.min(start + sliceEntries, to, core.contiguousLength)
      const reads: Promise<Buffer | null>[] = []
      for (let index = start; index < end; index++) reads.push(core.get(index, { wait: false }))
      return Promise.all(reads)
    })
    if (slice.length === 0) return
    const entries: Uint8Array[] = []
    for (const entry of slice) {
      if (entry === null) {
        throw new QMeshError('QM_LOG_DAMAGED', `The log in ${access.folder} lacks an entry it should hold.`)
      }
      entries.push(entry)
    }
    yield entries
    start += entries.length
  }
}
