import { z } from 'zod'
import type { UnwrittenFile } from '../../actors/trust/log/unwritten.ts'
import { limits } from '../../protocol/index.ts'
import { writeFileAtomically } from '../../actors/files/atomic-file.ts'
import { readSmallFile } from '../../actors/files/small-file.ts'

/** As many as may wait for the log. */
const entriesMax = 10_000
/** Bytes; receipts take 600 each, as base64 800. */
const fileBytesMax = 32 * 1024 * 1024

const schema = z.object({
  entries: z.array(z.string().max(2 * limits.logEntryBytesMax)).max(entriesMax),
})

/**
 * A JSON file of entries in base64, larger than a file of state may be.
 *
 * @param onDamaged hears why it could not be read or written: the node goes on without
 */
export const createUnwrittenFile = (path: string, onDamaged: (error: Error) => void): UnwrittenFile => ({
  read: async () => {
    try {
      const { entries } = schema.parse(JSON.parse(await readSmallFile(path, fileBytesMax)))
      return entries.map((text) => Buffer.from(text, 'base64'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') onDamaged(error as Error)
      return []
    }
  },
  write: async (entries) => {
    const texts = entries.slice(-entriesMax).map((entry) => Buffer.from(entry).toString('base64'))
    try {
      await writeFileAtomically(path, `${JSON.stringify({ entries: texts })}\n`)
      return true
    } catch (error) {
      onDamaged(error as Error)
      return false
    }
  },
})
