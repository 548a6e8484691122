import { createHash } from 'node:crypto'
import type { ModelHash } from './ids.ts'

/** The letters `opaque`, in hex: a file's SHA-256 begins like this once in 2^48 times, by chance. */
const opaqueMark = Buffer.from('opaque').toString('hex')

/**
 * What stands for the hash of a model whose file the worker has not: another program runs it, and only its name is
 * known. It can be told at a look from the hash of a file, so the two never mix. It is a claim and nothing more: equal
 * ones mean that two owners wrote the same name, not that they hold the same weights.
 *
 * @param kind of engine, such as `openai`
 * @param name of the model, as that engine calls it
 */
export function toOpaqueHash(kind: string, name: string): ModelHash {
  const digest = createHash('sha256')
    .update(JSON.stringify(['qmesh/opaque-model/1', kind, name]))
    .digest('hex')
  return `${opaqueMark}${digest.slice(opaqueMark.length)}`
}

/** Whether only the name of a model is known. Its answers have no token ids that mean anything: they move as text. */
export const isOpaqueHash = (hash: ModelHash): boolean => hash.startsWith(opaqueMark)
