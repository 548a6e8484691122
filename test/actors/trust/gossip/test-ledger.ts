import type { NoiseStream } from 'hyperswarm'
import type { GossipLedger, KnownBan, Learned } from '../../../../actors/trust/gossip/gossip.port.ts'
import type { PeerId } from '../../../../protocol/index.ts'
import {
  cardFormat,
  checkProof,
  type FraudProof,
  type Head,
  headFormat,
  type IdentityCard,
  isCardValid,
  isHeadValid,
  isStatementValid,
  type ScoreStatement,
  scoreStatementFormat,
  type TrustSigner,
} from '../../../../protocol/trust/index.ts'

const hash = (text: string): string => Buffer.from(text.padEnd(32, '.')).subarray(0, 32).toString('hex')

/** Books in memory, with the same signatures as the real ones and without logs. */
export class TestLedger implements GossipLedger {
  readonly ownId: PeerId
  epoch = 29_000_000
  readonly signer: TrustSigner
  readonly cards = new Map<PeerId, IdentityCard>()
  readonly heads = new Map<PeerId, Head>()
  readonly bans = new Map<PeerId, KnownBan>()
  readonly statements: ScoreStatement[] = []
  readonly ownHeads: Head[] = []
  readonly accountsMax: number
  /** Signatures that had to be checked. */
  checks = 0
  catchUps = 0
  replicating = 0

  constructor(signer: TrustSigner, accountsMax = 1_000) {
    this.ownId = signer.id
    this.signer = signer
    this.accountsMax = accountsMax
    this.cards.set(signer.id, makeCard(signer))
    this.grow(1)
  }

  /** This node's own log gets so long. */
  grow(length: number): Head {
    const head = makeHead(this.signer, length)
    this.heads.set(this.ownId, head)
    return head
  }

  lengths(): ReadonlyMap<PeerId, number> {
    return new Map([...this.heads].map(([accountId, { length }]) => [accountId, length]))
  }

  headOf(accountId: PeerId): Head | undefined {
    return this.heads.get(accountId)
  }

  cardOf(accountId: PeerId): IdentityCard | undefined {
    return this.cards.get(accountId)
  }

  proofs(): readonly FraudProof[] {
    return [...this.bans.values()].flatMap(({ proof }) => proof ?? [])
  }

  banned(): ReadonlyMap<PeerId, KnownBan> {
    return this.bans
  }

  async learnCard(card: IdentityCard): Promise<Learned> {
    this.checks++
    await Promise.resolve()
    if (!isCardValid(card, this.signer.networkId)) return 'invalid'
    const known = this.cards.get(card.accountId)
    if (known && known.seq >= card.seq) return 'known'
    if (!known && this.cards.size >= this.accountsMax) return 'later'
    this.cards.set(card.accountId, card)
    return 'new'
  }

  learnHead(head: Head): Learned {
    this.checks++
    if (!isHeadValid(head, this.signer.networkId)) return 'invalid'
    if (!this.cards.has(head.accountId)) return 'later'
    const known = this.heads.get(head.accountId)
    if (known && known.length === head.length && known.treeHash !== head.treeHash) {
      this.learnProof({ kind: 'fork', a: known, b: head })
      return 'known'
    }
    if (known && known.length >= head.length) return 'known'
    this.heads.set(head.accountId, head)
    return 'new'
  }

  learnProof(proof: FraudProof): Learned {
    this.checks++
    const found = checkProof(proof, this.signer.networkId)
    if (!found) return 'invalid'
    if (!this.cards.has(found.guilty)) return 'later'
    if ((this.bans.get(found.guilty)?.epoch ?? Infinity) <= found.epoch) return 'known'
    this.bans.set(found.guilty, { epoch: found.epoch, proof })
    return 'new'
  }

  learnStatement(statement: ScoreStatement): Learned {
    this.checks++
    if (!isStatementValid(statement, this.signer.networkId)) return 'invalid'
    this.statements.push(statement)
    return 'new'
  }

  statementOf(accountId: PeerId, epoch: number): ScoreStatement | undefined {
    if (!this.heads.has(accountId)) return undefined
    return makeStatement(this.signer, accountId, epoch)
  }

  heardOwnHead(head: Head): void {
    this.ownHeads.push(head)
  }

  replicate(_stream: NoiseStream): () => void {
    this.replicating++
    return () => {
      this.replicating--
    }
  }

  catchUp(): Promise<void> {
    this.catchUps++
    return Promise.resolve()
  }

  sweep(): void {}

  /** Everything that gossip has to make equal. */
  view(): unknown {
    const banned = (accountId: PeerId): boolean => this.bans.has(accountId)
    return {
      cards: [...this.cards.keys()].filter((id) => !banned(id)).toSorted(),
      heads: [...this.heads.values()]
        .filter(({ accountId }) => !banned(accountId))
        .map(({ accountId, length }) => `${accountId}/${length}`)
        .toSorted(),
      bans: [...this.bans.keys()].toSorted(),
    }
  }
}

export const makeCard = (signer: TrustSigner, fields: Partial<IdentityCard> = {}): IdentityCard =>
  cardFormat.sign(signer, {
    accountId: signer.id,
    // Any valid key will do.
    logKey: signer.id,
    vrfKey: signer.id,
    roles: 3,
    createdEpoch: 100,
    seq: 0,
    name: 'a name of usual length',
    stampNonce: 12_345,
    ...fields,
  })

export const makeHead = (signer: TrustSigner, length: number, branch = ''): Head =>
  headFormat.sign(signer, {
    accountId: signer.id,
    epoch: 29_000_000,
    length,
    treeHash: hash(`${length}${branch}`),
  })

export const makeFork = (signer: TrustSigner, length: number): FraudProof => ({
  kind: 'fork',
  a: makeHead(signer, length, 'left'),
  b: makeHead(signer, length, 'right'),
})

export const makeStatement = (
  signer: TrustSigner,
  accountId: PeerId,
  epoch: number,
  score = 100,
): ScoreStatement =>
  scoreStatementFormat.sign(signer, {
    accountId,
    epoch,
    inputDigest: hash('digest'),
    values: [score, 1, 2, 3, 4],
    signerId: signer.id,
  })
