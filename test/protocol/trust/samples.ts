import sodium from 'sodium-universal'
import {
  type Ack,
  ackFormat,
  cardFormat,
  createSigner,
  type Head,
  headFormat,
  type IdentityCard,
  type Offer,
  offerFormat,
  type Receipt,
  type Result,
  resultFormat,
  type ScoreStatement,
  scoreStatementFormat,
  toOutputCommit,
  type TrustSigner,
} from '../../../protocol/trust/index.ts'

export const networkId = '0a'.repeat(16)
export const otherNetworkId = '0b'.repeat(16)

/** An account of its own for each number. */
export function signerOf(number: number, network = networkId): TrustSigner {
  const publicKey = Buffer.alloc(32)
  const secretKey = Buffer.alloc(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, Buffer.alloc(32, number))
  return createSigner(network, { publicKey, secretKey })
}

export const client = signerOf(1)
export const worker = signerOf(2)
const hash = (byte: number) => byte.toString(16).padStart(2, '0').repeat(32)

export const sampleOffer = (given: Partial<Offer> = {}, by: TrustSigner = client): Offer =>
  offerFormat.sign(by, {
    requestId: '01'.repeat(16),
    clientId: by.id,
    workerId: worker.id,
    modelHash: hash(3),
    promptCommit: hash(4),
    maxOut: 100,
    samplingId: 2,
    seed: 7,
    maxPrice: 5_000,
    epoch: 1_000,
    spendSeq: 1_700_000_000_000,
    balanceAfter: -250,
    headLength: 12,
    headHash: '05'.repeat(16),
    resumed: 0,
    flags: { isAuditable: true, isPrivate: false, isStreaming: true, isGratis: false },
    effortNonce: '',
    ...given,
  })

export const sampleResult = (offer: Offer, given: Partial<Result> = {}, by: TrustSigner = worker): Result =>
  resultFormat.sign(by, {
    offerHash: offerFormat.toHash(offer, by.networkId),
    outputCommit: toOutputCommit(Buffer.alloc(16, 1), [1, 2, 3]),
    nIn: 10,
    nOut: 80,
    finish: 'stop',
    firstTokenMs: 20,
    totalMs: 500,
    price: 3_000,
    execProfile: 0,
    epoch: 1_000,
    ...given,
  })

export const sampleAck = (
  offer: Offer,
  result: Result,
  given: Partial<Ack> = {},
  by: TrustSigner = client,
): Ack =>
  ackFormat.sign(by, {
    offerHash: offerFormat.toHash(offer, by.networkId),
    kind: 'final',
    received: result.nOut,
    resultHash: resultFormat.toHash(result, by.networkId),
    clientMs: 550,
    epoch: 1_001,
    ...given,
  })

export function sampleReceipt(): Receipt {
  const offer = sampleOffer()
  const result = sampleResult(offer)
  return { offer, result, ack: sampleAck(offer, result) }
}

export const sampleCard = (given: Partial<IdentityCard> = {}, by: TrustSigner = worker): IdentityCard =>
  cardFormat.sign(by, {
    accountId: by.id,
    logKey: signerOf(40).id,
    vrfKey: signerOf(41).id,
    roles: 3,
    createdEpoch: 900,
    seq: 0,
    name: 'living room',
    stampNonce: 513,
    ...given,
  })

export const sampleHead = (given: Partial<Head> = {}, by: TrustSigner = worker): Head =>
  headFormat.sign(by, { accountId: by.id, epoch: 1_000, length: 12, treeHash: hash(9), ...given })

export const sampleStatement = (
  given: Partial<ScoreStatement> = {},
  by: TrustSigner = client,
): ScoreStatement =>
  scoreStatementFormat.sign(by, {
    accountId: worker.id,
    epoch: 1_000,
    inputDigest: hash(8),
    values: [120, 65_536, 3, 4, 0],
    signerId: by.id,
    ...given,
  })
