import sodium from 'sodium-universal'
import type { Effort } from './messages/inference.ts'
import type { PeerId, RequestId } from './ids.ts'

/** What a piece of work is done for. A solution is worth nothing for anything else. */
export interface EffortTask extends Pick<Effort, 'seed'> {
  /** The topic of the inference network, 32 bytes: all that may meet there know it, with books or without. */
  readonly network: Uint8Array
  readonly workerId: PeerId
  readonly clientId: PeerId
  readonly requestId: RequestId
}

const hashBytes = 32
const nonceBytes = 8

const label = Buffer.alloc(hashBytes)
sodium.crypto_generichash(label, Buffer.from('qmesh/effort/1'))

/** BLAKE2b-256( BLAKE2b-256('qmesh/effort/1') ‖ network ‖ worker ‖ client ‖ request ‖ seed ): each part has one length. */
function toChallenge({ network, workerId, clientId, requestId, seed }: EffortTask): Buffer {
  const ids = [workerId, clientId, requestId, seed].map((id) => Buffer.from(id, 'hex'))
  const challenge = Buffer.alloc(hashBytes)
  sodium.crypto_generichash_batch(challenge, [label, network, ...ids])
  return challenge
}

/**
 * Hashes nonces for one task: BLAKE2b-256(challenge ‖ nonce). The challenge is hashed once and nothing is allocated for a
 * nonce, for a search goes through tens of thousands.
 */
export class EffortHash {
  readonly #input: Buffer
  readonly #output = Buffer.alloc(hashBytes)

  constructor(task: EffortTask) {
    this.#input = Buffer.concat([toChallenge(task), Buffer.alloc(nonceBytes)])
  }

  /**
   * @param nonce a safe integer from 0 on
   * @returns 32 bytes, which are overwritten by the next hash
   */
  of(nonce: number): Uint8Array {
    this.#input.writeUInt32BE(Math.floor(nonce / 2 ** 32), hashBytes)
    this.#input.writeUInt32BE(nonce % 2 ** 32, hashBytes + 4)
    return this.#hash()
  }

  /** @param nonce 16 hex characters, as it comes with a prompt; the result as above */
  ofHex(nonce: string): Uint8Array {
    this.#input.write(nonce, hashBytes, nonceBytes, 'hex')
    return this.#hash()
  }

  #hash(): Uint8Array {
    sodium.crypto_generichash(this.#output, this.#input)
    return this.#output
  }
}

/** A nonce as it goes with a prompt. */
export const toEffortNonce = (nonce: number): string => nonce.toString(16).padStart(2 * nonceBytes, '0')
