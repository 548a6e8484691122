import sodium from 'sodium-universal'
import type { ModelId } from './ids.ts'

/** The inference network's name; it carries the version, so that incompatible meshes never meet. */
export const inferenceNetwork = 'qmesh-inference-v2'

/** The models network's name: under it holders and seekers of models meet. */
export const modelsNetwork = 'qmesh-models-v2'

/** Longest mesh secret, in UTF-8 bytes: what one keyed BLAKE2b call accepts as a key. */
const secretKeyBytes = 32

function blake2b(parts: readonly Uint8Array[], key?: Buffer): Buffer {
  const output = Buffer.alloc(32)
  // Each part is preceded by its length: without it ('ab','c') and ('a','bc') would share a topic.
  const framed = parts.flatMap((part) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.byteLength)
    return [length, Buffer.from(part.buffer, part.byteOffset, part.byteLength)]
  })
  sodium.crypto_generichash_batch(output, framed, key)
  return output
}

export interface TopicParts {
  readonly network: string
  readonly secret?: string | undefined
  readonly modelId?: ModelId | undefined
}

/** topic = BLAKE2b-256 over length-prefixed (network name ‖ mesh secret or empty ‖ model id or empty), 32 bytes. */
export function toTopic({ network, secret = '', modelId = '' }: TopicParts): Buffer {
  return blake2b([Buffer.from(network), Buffer.from(secret), Buffer.from(modelId)])
}

/**
 * What a peer sends in `hello` to prove that it knows the mesh secret without showing it: keyed BLAKE2b-256 over
 * (label ‖ the connection's Noise handshake hash ‖ the prover's public key). The handshake hash ties it to this one
 * connection, the key to this one side, so it can be neither replayed nor reflected.
 */
export function toSecretProof(secret: string, handshakeHash: Uint8Array, proverKey: Uint8Array): string {
  const key = Buffer.alloc(secretKeyBytes)
  sodium.crypto_generichash(key, Buffer.from(secret))
  return blake2b([Buffer.from('qmesh-hello-proof'), handshakeHash, proverKey], key).toString('hex')
}
