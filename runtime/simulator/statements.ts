import { ONE } from '../../machines/trust/fixed.ts'
import { type ScoreValues, toInputDigest, toScore } from '../../machines/trust/index.ts'
import { resolve } from '../../machines/trust/resolve.ts'
import { limits } from '../../protocol/index.ts'
import { type ScoreStatement, scoreStatementFormat } from '../../protocol/trust/index.ts'
import type { GossipModel } from './gossip-model.ts'
import type { Mesh } from './mesh.ts'
import type { SimNode } from './sim-node.ts'

/** Peers that a node dials in an epoch when others hung up. */
const dialled = 16
/** Points that a liar adds to what its log gives. */
const inventedPoints = 1_000

interface Computed {
  readonly inputDigest: string
  readonly values: ScoreValues
}

/** What nodes say about scores: some lie, and others compare. */
export class Statements {
  readonly #mesh: Mesh
  readonly #gossip: GossipModel
  /** Nodes that read the same compute the same, so it is computed once. */
  readonly #computed = new Map<string, Computed>()

  constructor(mesh: Mesh, gossip: GossipModel) {
    this.#mesh = mesh
    this.#gossip = gossip
  }

  /** A node tells all peers a score that its own log does not give, under the true digest. */
  invent(node: SimNode): void {
    const { signer } = this.#mesh.accounts[node.index] ?? {}
    const own = this.#compute(node, node.index)
    if (!signer || !own) return
    this.#reconnect(node)
    const [score, ...others] = own.values
    const lie = scoreStatementFormat.sign(signer, {
      accountId: signer.id,
      epoch: this.#mesh.epoch,
      inputDigest: own.inputDigest,
      values: [score + inventedPoints, ...others],
      signerId: signer.id,
    })
    this.#tell(node, lie)
  }

  /** Those who found it out hang up; it dials others, as every node with few connections does. */
  #reconnect(node: SimNode): void {
    if (node.links.size >= limits.peersMax) return
    const { signer } = this.#mesh.account(node.index)
    const willing = this.#mesh.nodes.filter(
      (peer) =>
        peer !== node && peer.isOnline && !peer.books.isBanned(signer.id) && !node.links.has(peer.index),
    )
    for (const peer of this.#mesh.pick(willing, dialled)) {
      node.links.add(peer.index)
      peer.links.add(node.index)
      this.#gossip.greet(node, peer.index)
    }
  }

  #tell(from: SimNode, statement: ScoreStatement): void {
    const { net, sizes } = this.#mesh
    for (const peer of from.links)
      net.send(from.index, peer, sizes.statement, () => this.#hear(this.#mesh.node(peer), statement))
  }

  /** Compared with what this node computes from the same inputs; a lie is told on, for others to compare. */
  #hear(node: SimNode, statement: ScoreStatement): void {
    const { signerId, accountId, epoch } = statement
    if (!node.isOnline || !node.isHonest || node.books.isBanned(signerId)) return
    const own = this.#compute(node, this.#mesh.indexOf.get(accountId) ?? -1)
    // Of another epoch, or from other inputs: nobody can tell.
    if (!own || epoch !== this.#mesh.epoch || own.inputDigest !== statement.inputDigest) return
    if (!this.#mesh.notary.isStatementValid(statement)) return
    const found = resolve({
      accountId,
      epoch,
      asked: [{ witnessId: signerId, influence: ONE }],
      statements: [statement],
      // The own word needs no signature.
      own: { ...own, accountId, epoch, signerId: '', signature: '' },
      exchanges: 0,
      regime: 'calm',
    })
    if (found.kind !== 'contradiction' || !found.wrong.includes(signerId)) return
    const reason = 'It stated a false score.'
    if (this.#gossip.ban(node, { accountId: signerId, reason, epoch, isLocal: true }))
      this.#tell(node, statement)
  }

  #compute(node: SimNode, account: number): Computed | undefined {
    const log = node.readLogs[account]
    const length = node.read[account] ?? 0
    const treeHash = log?.treeHashes[length - 1]
    if (!log || treeHash === undefined) return undefined
    const { epoch, params, notary } = this.#mesh
    const { bans } = node.books
    const key = `${treeHash} ${epoch} ${bans.root}`
    const known = this.#computed.get(key)
    if (known) return known
    const { accountId } = log
    const { networkId } = notary
    const computed = {
      inputDigest: toInputDigest({ accountId, epoch, length, treeHash, banRoot: bans.root, networkId }),
      values: toScore(log.stateAt(length), epoch, { bans, params }).values,
    }
    this.#computed.set(key, computed)
    return computed
  }
}
