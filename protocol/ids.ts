import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { limits } from './limits.ts'

/** A worker's or client's public key: 32 bytes as 64 lower-case hex characters. The key is the id. */
export const peerIdSchema = z.string().regex(/^[0-9a-f]{64}$/)
export type PeerId = z.infer<typeof peerIdSchema>

/** 16 random bytes as 32 lower-case hex characters, chosen by the client. */
export const requestIdSchema = z.string().regex(/^[0-9a-f]{32}$/)
export type RequestId = z.infer<typeof requestIdSchema>

/** The name people use for a model: lower case, digits, dots, dashes, underscores. */
export const modelIdSchema = z
  .string()
  .max(limits.modelIdCharsMax)
  .regex(/^[a-z0-9][a-z0-9._-]*$/)
export type ModelId = z.infer<typeof modelIdSchema>

/** SHA-256 of the model file as 64 lower-case hex characters: two workers with equal hashes hold the same weights. */
export const modelHashSchema = z.string().regex(/^[0-9a-f]{64}$/)
export type ModelHash = z.infer<typeof modelHashSchema>

/** The model that comes with every node: good for a first answer, not for preferring. */
export const builtInModelId: ModelId = 'nano'

export const createRequestId = (): RequestId => randomBytes(16).toString('hex')

/** Turns a file name into a model id: `SmolLM2-135M Instruct.Q4_1.gguf` → `smollm2-135m-instruct.q4_1`. */
export function toModelId(fileName: string): ModelId {
  const stem = fileName.toLowerCase().replace(/\.gguf$/, '')
  const id = stem.replaceAll(/[^a-z0-9._-]+/g, '-').replace(/^[^a-z0-9]+/, '')
  return id.slice(0, limits.modelIdCharsMax) || 'model'
}
