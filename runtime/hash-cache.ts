import { z } from 'zod'
import type { HashCachePort } from '../actors/inference/hash-cache.port.ts'
import { modelHashSchema } from '../protocol/index.ts'
import type { DataDir } from './data-dir.ts'

const fileName = 'model-hashes.json'
/** Files remembered; beyond it the oldest is hashed again. */
const entriesMax = 256

const entrySchema = z.object({ sizeBytes: z.number(), modifiedMs: z.number(), hash: modelHashSchema })
const cacheSchema = z.record(z.string().max(4_096), entrySchema)

/** Model hashes in the data directory, so that a large file that did not change is not read again at every start. */
export function createHashCache(dataDir: DataDir): HashCachePort {
  const read = async () => new Map(Object.entries((await dataDir.readState(fileName, cacheSchema)) ?? {}))
  return {
    get: async (path, stamp) => {
      const entry = (await read()).get(path)
      const isSame = entry?.sizeBytes === stamp.sizeBytes && entry.modifiedMs === stamp.modifiedMs
      return isSame ? entry.hash : undefined
    },
    set: async (path, stamp, hash) => {
      const entries = await read()
      entries.delete(path)
      entries.set(path, { ...stamp, hash })
      await dataDir.writeState(fileName, Object.fromEntries([...entries].slice(-entriesMax)))
    },
  }
}
