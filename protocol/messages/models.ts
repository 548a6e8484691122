import { z } from 'zod'
import { modelIdSchema, peerIdSchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { modelLimits } from '../models/limits.ts'
import { type Parsed, parseMessage } from './parse-message.ts'

/** Bounds of what is said over the models network. */
export const modelsMessageLimits = {
  /** Manifests named in one message. */
  refsMax: modelLimits.catalogModelsMax,
  /** Names asked for at once. */
  namesMax: 8,
  /** Manifests in one message: with the longest ones it still fits one frame. */
  manifestsMax: 32,
} as const

/** One manifest by name: enough to see who has a newer one. */
const manifestRef = z.object({
  publisher: peerIdSchema,
  id: modelIdSchema,
  version: z.number().int().min(0).max(0xffff_ffff),
})
export type ManifestRef = Readonly<z.infer<typeof manifestRef>>

/** Manifests that I hold, signed by their publishers. Sent on opening, and when there are new ones. */
export const catalogHaveSchema = z.object({
  type: z.literal('catalog-have'),
  manifests: z.array(manifestRef).max(modelsMessageLimits.refsMax),
})
export type CatalogHave = z.infer<typeof catalogHaveSchema>

/** Send me these: manifests that you said you hold, and whatever you know under these ids or SHA-256 hashes. */
export const catalogWantSchema = z.object({
  type: z.literal('catalog-want'),
  manifests: z.array(manifestRef).max(modelsMessageLimits.manifestsMax),
  names: z.array(z.string().min(1).max(limits.modelIdCharsMax)).max(modelsMessageLimits.namesMax),
})
export type CatalogWant = z.infer<typeof catalogWantSchema>

/** Manifests in their canonical encoding, as base64: JSON is never signed. */
export const manifestMessageSchema = z.object({
  type: z.literal('manifest'),
  manifests: z
    .array(z.base64().max(Math.ceil(modelLimits.manifestBytesMax / 3) * 4))
    .max(modelsMessageLimits.manifestsMax),
  /** All names of a `catalog-want` that this answers; also when there is nothing under them. */
  names: z.array(z.string().max(limits.modelIdCharsMax)).max(modelsMessageLimits.namesMax),
})
export type ManifestMessage = z.infer<typeof manifestMessageSchema>

export type ModelsMessage = CatalogHave | CatalogWant | ManifestMessage

const schemas = {
  'catalog-have': catalogHaveSchema,
  'catalog-want': catalogWantSchema,
  manifest: manifestMessageSchema,
} as const

/** Checks one decoded frame against its schema; manifests are not looked into. Never throws. */
export const parseModelsMessage = (value: unknown): Parsed<ModelsMessage> => parseMessage(schemas, value)
