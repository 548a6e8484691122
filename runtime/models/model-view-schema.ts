import { z } from 'zod'
import { peerIdSchema } from '../../protocol/index.ts'
import { modelKinds } from '../../protocol/models/index.ts'
import type { ModelView } from './model-views.ts'

const count = z.number().min(0)

/** A model of the library, as it is told over HTTP. */
export const modelViewSchema: z.ZodType<ModelView> = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(modelKinds),
  licence: z.string(),
  standing: z.enum(['trusted', 'own', 'built-in', 'signed', 'unsigned']),
  catalog: z.object({ publisher: peerIdSchema, version: count }).nullable(),
  hash: z.string().nullable(),
  bytes: count.nullable(),
  quantization: z.string(),
  parameters: count.nullable(),
  contextTokens: count.nullable(),
  state: z.enum(['sound', 'damaged', 'missing', 'changed', 'absent']),
  isPinned: z.boolean(),
  isReference: z.boolean(),
  usedAtMs: z.number().nullable(),
  path: z.string().nullable(),
})
