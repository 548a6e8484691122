import sodium from 'sodium-universal'
import { genesisParams, toNetworkId } from '../../machines/trust/index.ts'
import type { PeerId } from '../../protocol/index.ts'
import {
  ackFormat,
  checkProof,
  checkReceipt,
  createSigner,
  type FraudProof,
  hash256,
  type Head,
  headFormat,
  isHeadValid,
  isStatementValid,
  type NetworkId,
  type Offer,
  offerFormat,
  type Receipt,
  resultFormat,
  type ScoreStatement,
  scoreStatementFormat,
  type TrustSigner,
} from '../../protocol/trust/index.ts'
import type { SignedFormat } from '../../protocol/trust/signing.ts'

/** Who signs and who checks: the one part of the evidence that may be simulated. */
export interface Notary {
  readonly networkId: NetworkId
  createSigner(name: string): TrustSigner
  checkReceipt(receipt: Receipt): string | undefined
  isHeadValid(head: Head): boolean
  isStatementValid(statement: ScoreStatement): boolean
  checkProof(proof: FraudProof): { readonly guilty: PeerId; readonly epoch: number } | undefined
}

const networkId = toNetworkId(genesisParams, 'simulator')
const seedOf = (name: string): Buffer => hash256(Buffer.from(`qmesh/simulator/${name}`))

/** Ed25519 and the product's own checks. */
export function createRealNotary(): Notary {
  return {
    networkId,
    createSigner: (name) => {
      const [publicKey, secretKey] = [Buffer.alloc(32), Buffer.alloc(64)]
      sodium.crypto_sign_seed_keypair(publicKey, secretKey, seedOf(name))
      return createSigner(networkId, { publicKey, secretKey })
    },
    checkReceipt: (receipt) => checkReceipt(receipt, networkId),
    isHeadValid: (head) => isHeadValid(head, networkId),
    isStatementValid: (statement) => isStatementValid(statement, networkId),
    checkProof: (proof) => checkProof(proof, networkId),
  }
}

/** A keyed hash over the same encodings, a fiftieth of the cost. Nobody in here knows another's key. */
export function createHashNotary(): Notary {
  const signers = new Map<PeerId, TrustSigner>()
  const isSigned = <Value extends { readonly signature: string }>(
    format: SignedFormat<Value>,
    value: Value,
    by: PeerId,
  ): boolean => {
    const signer = signers.get(by)
    return signer !== undefined && format.sign(signer, value).signature === value.signature
  }
  const isOffer = (offer: Offer): boolean => isSigned(offerFormat, offer, offer.clientId)
  const isHead = (head: Head): boolean => isSigned(headFormat, head, head.accountId)
  const isStatement = (statement: ScoreStatement): boolean =>
    isSigned(scoreStatementFormat, statement, statement.signerId)
  return {
    networkId,
    createSigner: (name) => {
      const key = seedOf(name)
      const id = hash256(key).toString('hex')
      const signer: TrustSigner = {
        id,
        networkId,
        sign: (domain, body) => {
          const signature = Buffer.alloc(64)
          sodium.crypto_generichash(signature, Buffer.concat([Buffer.from(domain), body]), key)
          return signature.toString('hex')
        },
      }
      signers.set(id, signer)
      return signer
    },
    checkReceipt: ({ offer, result, ack }) => {
      const offerHash = offerFormat.toHash(offer, networkId)
      if (!isOffer(offer)) return 'the offer is not signed by its client'
      if (result.offerHash !== offerHash) return 'the result is of another offer'
      if (!isSigned(resultFormat, result, offer.workerId)) return 'the result is not signed by the worker'
      if (ack === null) return undefined
      if (ack.offerHash !== offerHash || !isSigned(ackFormat, ack, offer.clientId))
        return 'the acknowledgement is not the client’s, or of another offer'
      return undefined
    },
    isHeadValid: isHead,
    isStatementValid: isStatement,
    checkProof: (proof) => {
      switch (proof.kind) {
        case 'fork': {
          const { a, b } = proof
          const isFork = a.accountId === b.accountId && a.length === b.length && a.treeHash !== b.treeHash
          return isFork && isHead(a) && isHead(b)
            ? { guilty: a.accountId, epoch: Math.max(a.epoch, b.epoch) }
            : undefined
        }
        case 'double-spend': {
          const { a, b } = proof
          const isTwice =
            a.clientId === b.clientId &&
            a.spendSeq === b.spendSeq &&
            offerFormat.toHash(a, networkId) !== offerFormat.toHash(b, networkId)
          return isTwice && isOffer(a) && isOffer(b)
            ? { guilty: a.clientId, epoch: Math.max(a.epoch, b.epoch) }
            : undefined
        }
        default:
          return undefined
      }
    },
  }
}
