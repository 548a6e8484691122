import { QMeshError } from '../errors.ts'
import type { PeerId } from '../ids.ts'
import { ByteReader, ByteWriter, malformed } from '../trust/bytes.ts'
import { hex, uint } from '../trust/codec.ts'
import { hash256, isSignedBy, type TrustSigner } from '../trust/signing.ts'
import { list } from './codec.ts'
import { modelLimits } from './limits.ts'
import { decodeManifest, encodeManifest, type ModelManifest, modelsNetworkId } from './manifest.ts'

/**
 * All that one publisher publishes, signed as a whole: nobody can leave one out or bring back what was withdrawn. Each
 * manifest in it is signed by the same publisher, too, because it is also handed on by itself. It holds no time: a
 * publisher who is away for a year is still whom one trusts, and clocks go wrong.
 */
export interface CatalogDocument {
  readonly format: 1
  /** Of the same publisher, the higher one wins and a lower one is refused. */
  readonly version: number
  readonly publisher: PeerId
  readonly models: readonly ModelManifest[]
  /** 64 bytes in hex. */
  readonly signature: string
}

const invalid = (error: unknown, where: string): QMeshError =>
  new QMeshError(
    'QM_MANIFEST_INVALID',
    `the catalog ${where} is not valid: ${error instanceof Error ? error.message : String(error)}`,
    { cause: error },
  )

const versionCodec = uint(4)
const publisherCodec = hex(32)
const modelsCodec = list<ModelManifest>(
  {
    write: (to, manifest) => {
      const bytes = encodeManifest(manifest)
      to.varint(bytes.length).bytes(bytes)
    },
    read: (from) => {
      const length = from.varint()
      if (length > modelLimits.manifestBytesMax) throw malformed('a manifest is too long')
      return decodeManifest(from.bytes(length))
    },
  },
  modelLimits.catalogModelsMax,
)

function encodeBody(catalog: Omit<CatalogDocument, 'signature'>): Buffer {
  const to = new ByteWriter().uint(catalog.format, 1)
  versionCodec.write(to, catalog.version)
  publisherCodec.write(to, catalog.publisher)
  modelsCodec.write(to, catalog.models)
  return to.toBuffer()
}

/**
 * The canonical encoding, signature included.
 *
 * @throws QMeshError `QM_MANIFEST_INVALID` for one out of bounds
 */
export function encodeCatalog(catalog: CatalogDocument): Buffer {
  try {
    const bytes = Buffer.concat([encodeBody(catalog), Buffer.from(catalog.signature, 'hex')])
    if (bytes.length > modelLimits.catalogBytesMax)
      throw malformed(`it has more than ${modelLimits.catalogBytesMax} bytes`)
    return bytes
  } catch (error) {
    throw invalid(error, 'to send')
  }
}

/**
 * Takes apart what a stranger sent. Its signature is checked apart: see `isCatalogSigned`.
 *
 * @throws QMeshError `QM_MANIFEST_INVALID`
 */
export function decodeCatalog(bytes: Uint8Array): CatalogDocument {
  try {
    if (bytes.byteLength > modelLimits.catalogBytesMax)
      throw malformed(`it has more than ${modelLimits.catalogBytesMax} bytes`)
    const from = new ByteReader(bytes)
    const format = from.uint(1)
    if (format !== 1) throw malformed(`it is of format ${format}, and this software knows format 1`)
    const catalog = {
      format: 1,
      version: versionCodec.read(from),
      publisher: publisherCodec.read(from),
      models: modelsCodec.read(from),
      signature: hex(64).read(from),
    } as const
    from.end()
    return catalog
  } catch (error) {
    throw invalid(error, 'of a peer')
  }
}

/** @param signer of the network `modelsNetworkId` */
export function signCatalog(
  catalog: Pick<CatalogDocument, 'version' | 'models'>,
  signer: TrustSigner,
): CatalogDocument {
  const body = { format: 1, ...catalog, publisher: signer.id } as const
  return { ...body, signature: signer.sign('catalog', encodeBody(body)) }
}

/** BLAKE2b-256 of what was signed, in hex: the name of this very catalog. */
export const toCatalogHash = (catalog: CatalogDocument): string =>
  hash256(encodeBody(catalog)).toString('hex')

/** Whether the publisher that it names has signed it. Never throws. */
export function isCatalogSigned(catalog: CatalogDocument): boolean {
  try {
    const body = encodeBody(catalog)
    return isSignedBy(catalog.publisher, 'catalog', modelsNetworkId, body, catalog.signature)
  } catch {
    return false
  }
}
