import { randomBytes } from 'node:crypto'
import { genesisParams, toNetworkId, type TrustParams } from '../../machines/trust/index.ts'
import { Identity } from '../../runtime/identity.ts'
import {
  ackFormat,
  cardFormat,
  createSigner,
  type IdentityCard,
  type NetworkId,
  type Offer,
  offerFormat,
  type Receipt,
  resultFormat,
  type TrustSigner,
} from '../../protocol/trust/index.ts'

/** The rules of a mesh whose nodes were started with these options, as the nodes themselves compute them. */
export const toTestParams = (epochSeconds: number, stampBits = 0): TrustParams => ({
  ...genesisParams,
  epochSeconds,
  stampBits,
  epochsPerDay: Math.floor(86_400 / epochSeconds),
})

/** Keys of an account that no node owns. */
export interface TestAccount {
  readonly identity: Identity
  readonly signer: TrustSigner
  readonly id: string
}

export function createAccount(networkId: NetworkId): TestAccount {
  const identity = new Identity(randomBytes(32))
  const signer = createSigner(networkId, identity.noiseKeyPair())
  return { identity, signer, id: signer.id }
}

export const toTestNetworkId = (params: TrustParams, secret: string): NetworkId => toNetworkId(params, secret)

export function makeCard(
  { identity, signer }: TestAccount,
  epoch: number,
  fields: Partial<Omit<IdentityCard, 'signature'>> = {},
): IdentityCard {
  return cardFormat.sign(signer, {
    accountId: signer.id,
    logKey: identity.logKeyPair(signer.networkId).publicKey.toString('hex'),
    vrfKey: identity.vrfKeyPair().publicKey.toString('hex'),
    roles: 3,
    createdEpoch: epoch,
    seq: 0,
    name: '',
    stampNonce: 0,
    ...fields,
  })
}

export interface ReceiptParts {
  readonly client: TrustSigner
  readonly worker: TrustSigner
  readonly epoch: number
  readonly offer?: Partial<Omit<Offer, 'signature'>>
}

/** A paid answer of 64 tokens that both sides signed for. */
export function makeReceipt({ client, worker, epoch, offer: fields = {} }: ReceiptParts): Receipt {
  const offer = offerFormat.sign(client, {
    requestId: randomBytes(16).toString('hex'),
    clientId: client.id,
    workerId: worker.id,
    modelHash: 'ab'.repeat(32),
    promptCommit: 'cd'.repeat(32),
    maxOut: 64,
    samplingId: 0,
    seed: 0,
    maxPrice: 2_000,
    epoch,
    spendSeq: Date.now(),
    balanceAfter: -2_100,
    headLength: 0,
    headHash: '00'.repeat(16),
    resumed: 0,
    flags: { isAuditable: true, isPrivate: false, isStreaming: true, isGratis: false },
    effortNonce: '',
    ...fields,
  })
  const offerHash = offerFormat.toHash(offer, worker.networkId)
  const result = resultFormat.sign(worker, {
    offerHash,
    outputCommit: 'ef'.repeat(32),
    nIn: 16,
    nOut: 64,
    finish: 'length',
    firstTokenMs: 5,
    totalMs: 50,
    price: 2_000,
    execProfile: 255,
    epoch,
  })
  const ack = ackFormat.sign(client, {
    offerHash,
    kind: 'final',
    received: 64,
    resultHash: resultFormat.toHash(result, worker.networkId),
    clientMs: 60,
    epoch,
  })
  return { offer, result, ack }
}
