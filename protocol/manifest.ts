import { z } from 'zod'
import { modelHashSchema, modelIdSchema } from './ids.ts'
import { limits } from './limits.ts'

const line = z.string().min(1).max(1_024)
const count = z.number().int().min(0)

/** One file of a model. Its name has no folder in it: a manifest must not reach outside of the store. */
export const artifactSchema = z.object({
  file: z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  sizeBytes: count.max(2 ** 48),
  sha256: modelHashSchema,
})

/** What names a model: what it is, its files to the byte, and under which licence. */
export const manifestSchema = z.object({
  id: modelIdSchema,
  /** For people. */
  name: line,
  version: line,
  /** As the file itself says. */
  facts: z.object({
    architecture: line,
    quantization: line,
    contextTokens: count.min(1).max(limits.contextTokensMax),
    parameters: count,
  }),
  artifacts: z.array(artifactSchema).min(1).max(64),
  licence: line,
})
