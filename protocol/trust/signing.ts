import sodium from 'sodium-universal'
import type { PeerId } from '../ids.ts'
import { ByteWriter } from './bytes.ts'
import { type Format, hex } from './codec.ts'

/**
 * Which network a signature is for, 16 bytes in hex: a hash of the parameters by which it computes scores and, in a
 * private mesh, of its secret. Evidence of one network is worth nothing in another.
 */
export type NetworkId = string

/** What is signed. A signature for one kind of thing never fits another. */
export type Domain =
  'card' | 'offer' | 'result' | 'ack' | 'head' | 'score-verify' | 'regime' | 'repair' | 'manifest' | 'catalog'

const hashBytes = 32
const signatureBytes = 64

/** BLAKE2b-256 of the parts one after the other. */
export function hash256(...parts: readonly Uint8Array[]): Buffer {
  const output = Buffer.alloc(hashBytes)
  sodium.crypto_generichash_batch(output, parts)
  return output
}

const namespaces = new Map<Domain, Buffer>()

function namespaceOf(domain: Domain): Buffer {
  let namespace = namespaces.get(domain)
  if (!namespace) {
    namespace = hash256(Buffer.from(`qmesh/${domain}/1`))
    namespaces.set(domain, namespace)
  }
  return namespace
}

/** What is really signed: BLAKE2b-256( BLAKE2b-256('qmesh/' domain '/1') ‖ network id ‖ body ), 32 bytes. */
export const toPreimage = (domain: Domain, networkId: NetworkId, body: Uint8Array): Buffer =>
  hash256(namespaceOf(domain), Buffer.from(networkId, 'hex'), body)

/** The key of one account, for one network. */
export interface TrustSigner {
  readonly id: PeerId
  readonly networkId: NetworkId
  /** @returns 64 bytes in hex */
  sign(domain: Domain, body: Uint8Array): string
}

export function createSigner(
  networkId: NetworkId,
  { publicKey, secretKey }: { readonly publicKey: Buffer; readonly secretKey: Buffer },
): TrustSigner {
  return {
    id: publicKey.toString('hex'),
    networkId,
    sign: (domain, body) => {
      const signature = Buffer.alloc(signatureBytes)
      sodium.crypto_sign_detached(signature, toPreimage(domain, networkId, body), secretKey)
      return signature.toString('hex')
    },
  }
}

/** p of the field, 2^255 − 19. */
const fieldPrime = 2n ** 255n - 19n

/**
 * Whether a key is one that everybody judges alike: a canonical encoding of a point of the large prime-order group.
 * Libraries disagree about signatures under other keys.
 */
export function isValidKey(publicKey: string): boolean {
  if (goodKeys.has(publicKey)) return true
  if (!/^[0-9a-f]{64}$/.test(publicKey)) return false
  const key = Buffer.from(publicKey, 'hex')
  if (!isCanonical(key) || !sodium.crypto_core_ed25519_is_valid_point(key)) return false
  if (goodKeys.size >= goodKeysMax) goodKeys.clear()
  goodKeys.add(publicKey)
  return true
}

/** The check takes as long as a signature's, and the same few keys come again and again. */
const goodKeys = new Set<string>()
const goodKeysMax = 4_096

/** Whether y, the lower 255 bits, is below the prime; the highest bit is the sign of x. */
function isCanonical(key: Buffer): boolean {
  const bigEndian = Buffer.from(key.toReversed()).toString('hex')
  return BigInt.asUintN(255, BigInt(`0x${bigEndian}`)) < fieldPrime
}

/** The one verifier of all evidence: libsodium's, which every node uses in the same version. Never throws. */
export function isSignedBy(
  publicKey: PeerId,
  domain: Domain,
  networkId: NetworkId,
  body: Uint8Array,
  signature: string,
): boolean {
  if (!isValidKey(publicKey) || !/^[0-9a-f]{128}$/.test(signature)) return false
  const preimage = toPreimage(domain, networkId, body)
  return sodium.crypto_sign_verify_detached(
    Buffer.from(signature, 'hex'),
    preimage,
    Buffer.from(publicKey, 'hex'),
  )
}

export interface Signed {
  /** 64 bytes in hex. */
  readonly signature: string
}

/** One kind of signed thing: its body's encoding, and the signature behind it. */
export interface SignedFormat<Value extends Signed> extends Format<Value> {
  /** @throws QMeshError `QM_EVIDENCE_INVALID` for a value out of bounds: nothing is signed that others cannot read */
  readonly sign: (signer: TrustSigner, body: Omit<Value, 'signature'>) => Value
  /** Whether this account signed it for this network. Never throws. */
  readonly isSigned: (value: Value, by: PeerId, networkId: NetworkId) => boolean
  /**
   * BLAKE2b-256 of what is signed, in hex: the name of this very statement in this network. The signature is not in
   * it, so that nobody can give a second name to what one account said once.
   *
   * @throws QMeshError `QM_EVIDENCE_INVALID` for a value out of bounds
   */
  readonly toHash: (value: Value, networkId: NetworkId) => string
}

const signatureCodec = hex(signatureBytes)

export function signedFormat<Value extends Signed>(
  domain: Domain,
  body: Format<Omit<Value, 'signature'>>,
): SignedFormat<Value> {
  return {
    encode: (value) => {
      const to = new ByteWriter().bytes(body.encode(value))
      signatureCodec.write(to, value.signature)
      return to.toBuffer()
    },
    decode: (bytes) => {
      const split = Math.max(0, bytes.byteLength - signatureBytes)
      const signature = Buffer.from(bytes.subarray(split)).toString('hex')
      return { ...body.decode(bytes.subarray(0, split)), signature } as Value
    },
    sign: (signer, value) => ({ ...value, signature: signer.sign(domain, body.encode(value)) }) as Value,
    isSigned: (value, by, networkId) => {
      try {
        return isSignedBy(by, domain, networkId, body.encode(value), value.signature)
      } catch {
        return false
      }
    },
    toHash: (value, networkId) => toPreimage(domain, networkId, body.encode(value)).toString('hex'),
  }
}
