import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { ModelHash } from '../../protocol/index.ts'

const chunkBytes = 4 * 1024 * 1024

/** SHA-256 of a file in lower-case hex. Blocks its thread for about half a second per gigabyte: not for the main one. */
export function hashFile(path: string): ModelHash {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(chunkBytes)
  const file = openSync(path, 'r')
  try {
    for (;;) {
      const bytes = readSync(file, buffer)
      if (bytes === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, bytes))
    }
  } finally {
    closeSync(file)
  }
}
