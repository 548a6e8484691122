import { z } from 'zod'
import { QMeshError } from '../errors.ts'
import { type ModelId, modelHashSchema, modelIdSchema, peerIdSchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { ByteReader, ByteWriter, malformed } from '../trust/bytes.ts'
import { hex, nullable, oneOf, uint, varint, type Codec } from '../trust/codec.ts'
import { hash256, isSignedBy, type NetworkId, type TrustSigner } from '../trust/signing.ts'
import { fields, list, longText, optional, optionalFlag, union } from './codec.ts'
import { modelLimits } from './limits.ts'
import { checkInnerPath, checkLocalPath, checkShown, checkUrl, isThisMachine } from './text.ts'

/** What a model is for. */
export const modelKinds = ['chat', 'embedding', 'rerank'] as const
export type ModelKind = (typeof modelKinds)[number]

/** Models belong to no network: a manifest signed once is good in every mesh. */
export const modelsNetworkId: NetworkId = '0'.repeat(32)

const bytesOf = (text: string): number => Buffer.byteLength(text)
const text = (bytesMax: number, check: (value: string) => string | undefined) =>
  z.string().superRefine((value, context) => {
    const wrong = bytesOf(value) > bytesMax ? `a text is longer than ${bytesMax} bytes` : check(value)
    if (wrong !== undefined) context.addIssue({ code: 'custom', message: wrong })
  })
const shown = (bytesMax: number) => text(bytesMax, checkShown)
const filled = (bytesMax: number) =>
  text(bytesMax, (value) => (value === '' ? 'a text is empty' : checkShown(value)))
const url = text(modelLimits.urlBytesMax, checkUrl)
const innerPath = text(modelLimits.pathBytesMax, checkInnerPath)
const whole = (min: number, max: number) => z.number().int().min(min).max(max)

const repoPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}\/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/
/** A branch, a tag or a commit; one that stands for different files at different times is for unverified models only. */
const revisionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const cidPattern = /^[A-Za-z0-9]{10,128}$/
const tagPattern = /^[a-z0-9][a-z0-9+._-]*$/

/** Where a model's file can be had. */
export const modelSourceSchema = z.discriminatedUnion('kind', [
  /** Other nodes of the mesh. */
  z.object({ kind: z.literal('peers') }),
  /** A file of a repository on Hugging Face. */
  z.object({
    kind: z.literal('hf'),
    /** `owner/name`. */
    repo: z.string().regex(repoPattern),
    file: innerPath,
    revision: z.string().regex(revisionPattern),
  }),
  /** Any web server; plain `http:` only on this very machine. */
  z.object({ kind: z.literal('https'), url }),
  /** A gateway to IPFS. */
  z.object({ kind: z.literal('ipfs'), cid: z.string().regex(cidPattern), path: innerPath.optional() }),
  /** A file of this machine; a relative path starts at the manifest's folder. Never taken from a stranger. */
  z.object({ kind: z.literal('file'), path: text(modelLimits.pathBytesMax, checkLocalPath) }),
])
export type ModelSource = z.infer<typeof modelSourceSchema>

/** What a model is, as far as it is known. */
export const modelFactsSchema = z.object({
  /** As llama.cpp names it, like `llama` or `qwen2`. */
  architecture: filled(modelLimits.factBytesMax),
  /** Like `Q4_K_M`. */
  quantization: filled(modelLimits.factBytesMax),
  parameters: whole(0, modelLimits.parametersMax).nullable(),
  /** Tokens it was trained for. */
  contextTokens: whole(1, limits.contextTokensMax).nullable(),
  embeddingLength: whole(1, modelLimits.embeddingLengthMax).nullable(),
  hasChatTemplate: z.boolean().nullable(),
})
export type ModelFacts = Readonly<z.infer<typeof modelFactsSchema>>

/** The one file of a model. */
export const modelArtifactSchema = z.object({
  bytes: whole(1, modelLimits.modelBytesMax).nullable(),
  /** Null: nobody has verified it. It is pinned on the first fetch. */
  sha256: modelHashSchema.nullable(),
  /** Key of the static core of this file, 64 hex characters: where peers are found who hold its blocks. */
  core: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
})
export type ModelArtifact = Readonly<z.infer<typeof modelArtifactSchema>>

/** What names a model: what it is, its file to the byte, where it can be had, and under which licence. */
export const modelManifestSchema = z
  .object({
    format: z.literal(1),
    id: modelIdSchema,
    /** Of the same id and publisher, the higher one wins and a lower one is refused. */
    version: whole(0, 0xffff_ffff),
    /** For people. */
    name: filled(modelLimits.modelNameBytesMax),
    description: shown(modelLimits.descriptionBytesMax),
    kind: z.enum(modelKinds),
    /** SPDX id, or `other`. */
    licence: filled(modelLimits.factBytesMax),
    licenceUrl: url.optional(),
    homepage: url.optional(),
    tags: z
      .array(z.string().max(modelLimits.tagBytesMax).regex(tagPattern))
      .max(modelLimits.tagsMax)
      .readonly(),
    facts: modelFactsSchema,
    artifact: modelArtifactSchema,
    /** In order of preference. */
    sources: z.array(modelSourceSchema).min(1).max(modelLimits.sourcesMax).readonly(),
    /** Who answers for it: an Ed25519 public key in hex. Null with a null signature: nobody. */
    publisher: peerIdSchema.nullable(),
    /** 64 bytes in hex. */
    signature: z
      .string()
      .regex(/^[0-9a-f]{128}$/)
      .nullable(),
  })
  .refine(({ publisher, signature }) => (publisher === null) === (signature === null), {
    message: 'a manifest has either both a publisher and a signature, or neither',
    path: ['signature'],
  })
export type ModelManifest = Readonly<z.infer<typeof modelManifestSchema>>

const invalid = (detail: string, cause?: unknown): QMeshError =>
  new QMeshError('QM_MANIFEST_INVALID', detail, { cause })

/**
 * Reads a manifest from what JSON gave.
 *
 * @param where names it in the error: a file, or a peer
 * @throws QMeshError `QM_MANIFEST_INVALID` naming the field
 */
export function parseManifest(json: unknown, where: string): ModelManifest {
  const { success, data, error } = modelManifestSchema.safeParse(json)
  if (!success) {
    const [issue] = error.issues
    const field = issue?.path.join('.')
    throw invalid(`the manifest ${where} is not valid: ${field ? `${field}: ` : ''}${issue?.message}`, error)
  }
  // What cannot be encoded cannot be signed or sent, and would be found too late.
  try {
    encodeManifest(data)
  } catch (error) {
    throw invalid(`the manifest ${where} is not valid: ${(error as Error).message}`, error)
  }
  return data
}

const matching = (pattern: RegExp, bytesMax: number): Codec<string> =>
  longText(bytesMax, (value) =>
    pattern.test(value) ? undefined : 'a name has characters that are not allowed',
  )
const shownText = (bytesMax: number): Codec<string> => longText(bytesMax, checkShown)
const urlText = longText(modelLimits.urlBytesMax, checkUrl)
const innerPathText = longText(modelLimits.pathBytesMax, checkInnerPath)

// A kind's fields are read by a codec of its own, and the type of the whole is not visible to it.
const source = <Kind extends ModelSource['kind']>(
  kind: Kind,
  codec: Codec<Omit<Extract<ModelSource, { kind: Kind }>, 'kind'>>,
): readonly [Kind, Codec<ModelSource>] => [kind, codec as unknown as Codec<ModelSource>]

const sourceCodec = union<ModelSource>([
  source('peers', fields({})),
  source(
    'hf',
    fields({
      repo: matching(repoPattern, 255),
      file: innerPathText,
      revision: matching(revisionPattern, 64),
    }),
  ),
  source('https', fields({ url: urlText })),
  source('ipfs', fields({ cid: matching(cidPattern, 128), path: optional(innerPathText) })),
  source('file', fields({ path: longText(modelLimits.pathBytesMax, checkLocalPath) })),
])

type ManifestBody = Omit<ModelManifest, 'format' | 'signature'>

/** The order of the fields is part of every signature there is. */
const bodyCodec = fields<ManifestBody>({
  id: matching(/^[a-z0-9][a-z0-9._-]*$/, limits.modelIdCharsMax),
  version: uint(4),
  name: shownText(modelLimits.modelNameBytesMax),
  description: shownText(modelLimits.descriptionBytesMax),
  kind: oneOf(modelKinds),
  licence: shownText(modelLimits.factBytesMax),
  licenceUrl: optional(urlText),
  homepage: optional(urlText),
  tags: list(matching(tagPattern, modelLimits.tagBytesMax), modelLimits.tagsMax),
  facts: fields<ModelFacts>({
    architecture: shownText(modelLimits.factBytesMax),
    quantization: shownText(modelLimits.factBytesMax),
    parameters: nullable(varint(modelLimits.parametersMax)),
    contextTokens: nullable(varint(limits.contextTokensMax)),
    embeddingLength: nullable(varint(modelLimits.embeddingLengthMax)),
    hasChatTemplate: optionalFlag,
  }),
  artifact: fields<ModelArtifact>({
    bytes: nullable(varint(modelLimits.modelBytesMax)),
    sha256: nullable(hex(32)),
    core: nullable(hex(32)),
  }),
  sources: list(sourceCodec, modelLimits.sourcesMax),
  publisher: nullable(hex(32)),
})

/** What is signed: everything but the signature. */
function encodeBody(manifest: Omit<ModelManifest, 'signature'>): Buffer {
  const to = new ByteWriter().uint(manifest.format, 1)
  bodyCodec.write(to, manifest)
  return to.toBuffer()
}

const signatureCodec = nullable(hex(64))

/**
 * The canonical encoding, signature included: one manifest, one sequence of bytes.
 *
 * @throws QMeshError `QM_EVIDENCE_INVALID` for a value out of bounds
 */
export function encodeManifest(manifest: ModelManifest): Buffer {
  const to = new ByteWriter().bytes(encodeBody(manifest))
  signatureCodec.write(to, manifest.signature)
  const bytes = to.toBuffer()
  if (bytes.length > modelLimits.manifestBytesMax)
    throw malformed(`a manifest has more than ${modelLimits.manifestBytesMax} bytes`)
  return bytes
}

/**
 * Takes apart what a stranger sent. Its signature is checked apart: see `isManifestSigned`.
 *
 * @throws QMeshError `QM_MANIFEST_INVALID`
 */
export function decodeManifest(bytes: Uint8Array): ModelManifest {
  try {
    if (bytes.byteLength > modelLimits.manifestBytesMax)
      throw malformed(`it has more than ${modelLimits.manifestBytesMax} bytes`)
    const from = new ByteReader(bytes)
    const format = from.uint(1)
    if (format !== 1) throw malformed(`it is of format ${format}, and this software knows format 1`)
    const body = bodyCodec.read(from)
    const signature = signatureCodec.read(from)
    from.end()
    return modelManifestSchema.parse({ format, ...body, signature })
  } catch (error) {
    throw invalid(
      `the manifest is not valid: ${error instanceof Error ? error.message : String(error)}`,
      error,
    )
  }
}

/**
 * Signs a manifest in the name of the signer.
 *
 * @param signer of the network `modelsNetworkId`
 * @throws QMeshError `QM_EVIDENCE_INVALID` for a value out of bounds
 */
export function signManifest(manifest: ModelManifest, signer: TrustSigner): ModelManifest {
  const body = { ...manifest, publisher: signer.id }
  return { ...body, signature: signer.sign('manifest', encodeBody(body)) }
}

/** Whether the publisher that it names has signed it. False for one without a publisher. Never throws. */
export function isManifestSigned(manifest: ModelManifest): boolean {
  const { publisher, signature } = manifest
  if (publisher === null || signature === null) return false
  try {
    return isSignedBy(publisher, 'manifest', modelsNetworkId, encodeBody(manifest), signature)
  } catch {
    return false
  }
}

/** BLAKE2b-256 of the canonical encoding without the signature, in hex: the name of this very manifest. */
export const toManifestHash = (manifest: ModelManifest): string =>
  hash256(encodeBody(manifest)).toString('hex')

/** A source that only the owner of a machine may name: a file of it, or a server on it. */
export function isLocalSource(source: ModelSource): boolean {
  if (source.kind === 'file') return true
  return source.kind === 'https' && isThisMachine(new URL(source.url).hostname)
}

/** What a model without a verified hash is known by until it is fetched: its id and its sources. */
export function toUnverifiedKey(manifest: Pick<ModelManifest, 'id' | 'sources'>): string {
  const to = new ByteWriter()
  fields<{ id: ModelId; sources: readonly ModelSource[] }>({
    id: longText(limits.modelIdCharsMax),
    sources: list(sourceCodec, modelLimits.sourcesMax),
  }).write(to, manifest)
  return `unverified-${hash256(to.toBuffer()).toString('hex')}`
}

/** Where the file is kept on its way that a stranger says these things of: apart from what came by anybody else's word. */
export const toHearsayKey = ({ bytes, sha256, core }: ModelArtifact): string =>
  `hearsay-${hash256(Buffer.from(JSON.stringify([bytes, sha256, core]))).toString('hex')}`
