import type { Head, Offer } from '../../protocol/trust/index.ts'
import type { Dealing } from './dealing.ts'
import type { GossipModel } from './gossip-model.ts'
import type { Mesh } from './mesh.ts'
import type { SimNode } from './sim-node.ts'
import { Statements } from './statements.ts'
import { randomHex } from './trade.ts'

/** Messages of 256 heads that a flooder sends to each peer in an epoch: five thousand accounts. */
const floodMessages = 20
const floodHeads = 256

/** What the misbehaving do. One misdeed each, except for those that go on. */
export class Misdeeds {
  readonly #mesh: Mesh
  readonly #gossip: GossipModel
  readonly #dealing: Dealing
  readonly #statements: Statements
  /** When each guilty account did it, in virtual milliseconds. */
  readonly doneAtMs = new Map<number, number>()

  constructor(mesh: Mesh, gossip: GossipModel, dealing: Dealing) {
    this.#mesh = mesh
    this.#gossip = gossip
    this.#dealing = dealing
    this.#statements = new Statements(mesh, gossip)
  }

  /** Once, in the epoch of the misdeeds. */
  commit(): void {
    for (const node of this.#mesh.nodes) if (node.index < this.#mesh.accounts.length) this.#commit(node)
  }

  /** In every epoch from then on. */
  goOn(): void {
    for (const node of this.#mesh.nodes) {
      if (node.strategy === 'invented-scores') this.#statements.invent(node)
      if (node.strategy === 'flooding') this.#flood(node)
    }
  }

  #commit({ index, strategy }: SimNode): void {
    const honest = this.#mesh.accounts.filter((account) => this.#mesh.node(account.index).isHonest)
    const [first, second] = this.#mesh.pick(honest, 2).map((account) => account.index)
    if (first === undefined || second === undefined) return
    const epoch = this.#mesh.epochOf(index)
    const own = this.#dealing.logOf(index)
    const guilty = (): void => void this.doneAtMs.set(index, this.#mesh.clock.nowMs)
    switch (strategy) {
      case 'one-sided-receipts': {
        // The client never made this offer: the worker can only invent its signature.
        const { receipt } = this.#dealing.make({ client: first, worker: index, isAckless: true })
        const offer: Offer = { ...receipt.offer, signature: randomHex(64, this.#mesh.random) }
        this.#dealing.file(index, { type: 'receipt', epoch, receipt: { ...receipt, offer } })
        return guilty()
      }
      case 'replayed-receipts': {
        // By turns its own receipt twice, and another worker's.
        const isOwn = index % 2 === 0
        const { receipt } = this.#dealing.deal({ client: first, worker: isOwn ? index : second })
        this.#dealing.file(index, { type: 'receipt', epoch, receipt })
        return guilty()
      }
      case 'double-spending':
        this.#spendTwice(index, first, second)
        return guilty()
      case 'forks': {
        const other = own.branch(own.length)
        for (const [log, client] of [
          [own, first],
          [other, second],
        ] as const)
          log.append({
            type: 'receipt',
            epoch,
            receipt: this.#dealing.make({ client, worker: index }).receipt,
          })
        this.#mesh.account(index).logs.push(other)
        this.#dealing.onGrown(index)
        return guilty()
      }
      case 'invented-scores':
        return guilty()
      default:
    }
  }

  #spendTwice(client: number, workerA: number, workerB: number): void {
    const a = this.#dealing.deal({ client, worker: workerA }).receipt.offer
    // It pays once; the second payment in its own log would be enough to ban it.
    const { receipt } = this.#dealing.make({ client, worker: workerB, offer: { spendSeq: a.spendSeq } })
    const b = receipt.offer
    const [logA, logB] = [this.#dealing.logOf(workerA), this.#dealing.logOf(workerB)]
    this.#dealing.file(workerB, { type: 'receipt', epoch: this.#mesh.epochOf(workerB), receipt })
    const proof = { kind: 'double-spend', a, b } as const
    logA.conflicts.push({ index: logA.length - 1, other: logB, otherIndex: logB.length - 1, proof })
    logB.conflicts.push({ index: logB.length - 1, other: logA, otherIndex: logA.length - 1, proof })
  }

  /** Heads of thousands of accounts that do not exist, and of some that do, with signatures that nobody made. */
  #flood(node: SimNode): void {
    const { random, epoch, accounts } = this.#mesh
    const toForged = (accountId: string): Head => ({
      accountId,
      epoch,
      length: 1_000_000,
      treeHash: randomHex(32, random),
      signature: randomHex(64, random),
    })
    const invented = Array.from({ length: floodHeads }, () => toForged(randomHex(32, random)))
    const forged = this.#mesh.pick(accounts, 4).map(({ signer }) => toForged(signer.id))
    for (const peer of node.links)
      for (let count = 0; count < floodMessages; count++)
        this.#gossip.flood(node, peer, count === 0 ? forged : invented)
  }
}
