import { z } from 'zod'
import { peerIdSchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { modelLimits } from '../models/limits.ts'
import { type Parsed, parseMessage } from './parse-message.ts'

/** Bounds of what is said over the models network. */
export const modelsMessageLimits = {
  /** Catalogs named in one message: one of each publisher that a node trusts. */
  refsMax: modelLimits.publishersMax,
  /** Names asked for at once. */
  namesMax: 8,
  /** Manifests in one message: with the longest ones it still fits one frame. */
  manifestsMax: 32,
} as const

const toBase64Chars = (bytes: number): number => Math.ceil(bytes / 3) * 4

/** One catalog by name: enough to see who has a newer one, or another one of the same version. */
const catalogRef = z.object({
  publisher: peerIdSchema,
  version: z.number().int().min(0).max(0xffff_ffff),
  /** BLAKE2b-256 of what the publisher signed. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
})
export type CatalogRef = Readonly<z.infer<typeof catalogRef>>

/** The newest catalogs that I hold, one of each publisher. Sent on opening, and when there are new ones. */
export const catalogHaveSchema = z.object({
  type: z.literal('catalog-have'),
  catalogs: z.array(catalogRef).max(modelsMessageLimits.refsMax),
})

/** Send me the catalog of this publisher that you said you hold. One at a time. */
export const catalogWantSchema = z.object({ type: z.literal('catalog-want'), publisher: peerIdSchema })

/** A catalog in its canonical encoding, as base64: JSON is never signed. Sent to whoever asked for it. */
export const catalogMessageSchema = z.object({
  type: z.literal('catalog'),
  catalog: z.base64().max(toBase64Chars(modelLimits.catalogBytesMax)),
})

/** Send me whatever you know under these ids or SHA-256 hashes. */
export const manifestWantSchema = z.object({
  type: z.literal('manifest-want'),
  names: z.array(z.string().min(1).max(limits.modelIdCharsMax)).min(1).max(modelsMessageLimits.namesMax),
})

/** Manifests in their canonical encoding, as base64. */
export const manifestMessageSchema = z.object({
  type: z.literal('manifest'),
  manifests: z
    .array(z.base64().max(toBase64Chars(modelLimits.manifestBytesMax)))
    .max(modelsMessageLimits.manifestsMax),
  /** All names of a `manifest-want` that this answers; also when there is nothing under them. */
  names: z.array(z.string().max(limits.modelIdCharsMax)).max(modelsMessageLimits.namesMax),
})

const schemas = {
  'catalog-have': catalogHaveSchema,
  'catalog-want': catalogWantSchema,
  catalog: catalogMessageSchema,
  'manifest-want': manifestWantSchema,
  manifest: manifestMessageSchema,
} as const
export type ModelsMessage = z.infer<(typeof schemas)[keyof typeof schemas]>

/** Checks one decoded frame against its schema; catalogs and manifests are not looked into. Never throws. */
export const parseModelsMessage = (value: unknown): Parsed<ModelsMessage> => parseMessage(schemas, value)
