import sodium from 'sodium-universal'
import type { PeerId } from '../../protocol/index.ts'

/** Everything that a score is a function of. */
export interface ScoreInputs {
  readonly accountId: PeerId
  readonly epoch: number
  /** The log's length and its tree hash, 64 hex characters. */
  readonly length: number
  readonly treeHash: string
  /** 64 hex characters each. */
  readonly banRoot: string
  readonly auditRoot?: string
  /** 32 hex characters; it stands for the parameters. */
  readonly networkId: string
}

const domain = Buffer.from('qmesh/score-inputs/1')

/** BLAKE2b-256 of the empty list of audits. */
const noAuditsRoot = (() => {
  const root = Buffer.alloc(32)
  sodium.crypto_generichash(root, Buffer.from('qmesh/audits/1'))
  return root.toString('hex')
})()

/**
 * The digest that is signed together with a score, as 64 hex characters. Two different scores under one digest prove a
 * lie, so the account and the epoch are in it too: the same log scores less a month later, and that is no lie.
 */
export function toInputDigest(inputs: ScoreInputs): string {
  const { accountId, epoch, length, treeHash, banRoot, auditRoot = noAuditsRoot, networkId } = inputs
  const numbers = Buffer.alloc(12)
  numbers.writeUInt32LE(epoch, 0)
  numbers.writeUIntLE(length, 4, 6)
  // Every part has a fixed length, so nothing can slide from one into the next.
  const digest = Buffer.alloc(32)
  sodium.crypto_generichash_batch(digest, [
    domain,
    toBytes(networkId, 16),
    toBytes(accountId, 32),
    numbers,
    toBytes(treeHash, 32),
    toBytes(auditRoot, 32),
    toBytes(banRoot, 32),
  ])
  return digest.toString('hex')
}

function toBytes(hex: string, length: number): Buffer {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length !== length || hex.length !== 2 * length)
    throw new RangeError(`Expected ${2 * length} hex characters, got ${hex.length}`)
  return bytes
}
