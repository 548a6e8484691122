import { PeerAllowances } from '../../actors/trust/gossip/peer-allowances.ts'
import { eagerPeersMax, gossipLimits, namesPerHead } from '../../actors/trust/gossip/gossip-limits.ts'
import { toBanRef } from '../../actors/trust/gossip/holdings.ts'
import type { BanRecord } from '../../actors/trust/books.ts'
import { findFork } from '../../machines/trust/fork.ts'
import { limits } from '../../protocol/index.ts'
import { scoresLimits, type ScoresMessage } from '../../protocol/messages/scores.ts'
import type { FraudProof, Head } from '../../protocol/trust/index.ts'
import { DigestRounds } from './digest-rounds.ts'
import { LogReading } from './log-reading.ts'
import type { Mesh } from './mesh.ts'
import { hears, isAhead, type SimNode } from './sim-node.ts'

/**
 * The product's gossip over virtual connections: what is new is told at once to connected peers, and rounds repair
 * what got lost. What `actors/trust/gossip` does with streams and `ledger` with a store is done here with lists; the
 * tables, the limits, the search for forks, the bans and the sizes of messages are the product's own.
 */
export class GossipModel {
  readonly #mesh: Mesh
  readonly #reading: LogReading
  readonly #rounds: DigestRounds
  /** Without it nothing is told at once and only rounds bring news. */
  isEager = true

  constructor(mesh: Mesh) {
    this.#mesh = mesh
    this.#reading = new LogReading(mesh, {
      suspect: (node, account, heads) => this.#suspect(node, account, heads),
      ban: (node, record) => void this.ban(node, record),
      learnProof: (node, proof) => this.learnProof(node, proof),
    })
    this.#rounds = new DigestRounds(mesh, {
      sendHeads: (from, peer, heads, isAnswer) => this.#sendHeads(from, peer, heads, isAnswer),
      sendProofs: (from, peer, proofs) => this.#sendProofs(from, peer, proofs),
    })
  }

  /** Tells a node's own head to its peers. A node that forked shows every other peer another one. */
  announce(node: SimNode, heads: readonly Head[]): void {
    const [first] = heads
    if (!first || !node.isOnline) return
    if (!this.isEager) return
    for (const peer of node.links) this.#sendHeads(node, peer, [heads[peer % heads.length] ?? first], false)
  }

  /** What a new connection begins with. */
  greet(node: SimNode, peer: number): void {
    const head = node.heads[node.index]
    if (head) this.#sendHeads(node, peer, [head], false)
  }

  /** Asks three random peers whether they hold the same, and reads on in logs that could not be had before. */
  round(node: SimNode): void {
    node.asked.clear()
    if (!node.isOnline || !node.isHelpful) return
    const behind: number[] = []
    node.heads.forEach((head, account) => {
      if (head && head.length > (node.read[account] ?? 0)) behind.push(account)
    })
    this.#reading.readOn(node, behind)
    this.#rounds.open(node)
  }

  /** @returns whether the ban is news, which then is passed on where it proves itself. */
  ban(node: SimNode, record: BanRecord, from?: SimNode): boolean {
    if (record.accountId === this.#mesh.accounts[node.index]?.signer.id || !node.ban(record)) return false
    this.onBanned(node, record)
    const guilty = this.#mesh.indexOf.get(record.accountId)
    if (guilty !== undefined) this.#mesh.disconnect(node, this.#mesh.node(guilty))
    const { proof } = record
    const key = `${record.accountId}/${record.epoch}`
    if (!proof || node.spread.has(key)) return true
    node.spread.add(key)
    if (this.isEager)
      for (const peer of node.links) if (peer !== from?.index) this.#sendProofs(node, peer, [proof])
    return true
  }

  /** Set by whoever measures. */
  onBanned: (node: SimNode, record: BanRecord) => void = () => {}

  learnProof(node: SimNode, proof: FraudProof, from?: SimNode): void {
    const ref = toBanRef(proof)
    // As the product does, before any signature is looked at.
    if (ref.epoch >= (node.proven.get(ref.accountId)?.epoch ?? Infinity)) return
    const found = this.#mesh.notary.checkProof(proof)
    if (!found) return
    this.ban(node, { accountId: found.guilty, reason: proof.kind, epoch: found.epoch, proof }, from)
  }

  /** A flood, one message of it: the product's allowances decide what is looked at, and when the connection ends. */
  flood(from: SimNode, peer: number, heads: readonly Head[]): void {
    const { net, sizes, clock, notary } = this.#mesh
    net.send(from.index, peer, sizes.heads(heads.length), () => {
      const node = this.#mesh.node(peer)
      if (!node.links.has(from.index)) return
      const nowMs = clock.nowMs
      const allowance = node.allowances.get(from.index) ?? {
        theirs: new PeerAllowances(nowMs),
        violations: 0,
      }
      node.allowances.set(from.index, allowance)
      const message: ScoresMessage = { type: 'score-update', heads: [...heads] }
      if (!allowance.theirs.message(message, nowMs)) allowance.violations++
      else {
        const unknown = heads.filter(({ accountId }) => !this.#mesh.indexOf.has(accountId))
        if (unknown.length > 0) net.count('gossip', peer, sizes.pull(unknown.length, 0))
        const forged = heads.filter(
          (head) => this.#mesh.indexOf.has(head.accountId) && !notary.isHeadValid(head),
        )
        allowance.violations += forged.length
      }
      if (allowance.violations <= limits.violationsMax) return
      this.#mesh.disconnect(node, from)
    })
  }

  #sendHeads(from: SimNode, peer: number, heads: readonly Head[], isAnswer: boolean): void {
    const { net, sizes } = this.#mesh
    for (let at = 0; at < heads.length; at += scoresLimits.headsMax) {
      const chunk = heads.slice(at, at + scoresLimits.headsMax)
      net.send(from.index, peer, sizes.heads(chunk.length), () =>
        this.#onHeads(this.#mesh.node(peer), from, chunk, isAnswer),
      )
    }
  }

  #sendProofs(from: SimNode, peer: number, proofs: readonly FraudProof[]): void {
    if (!from.isHelpful || proofs.length === 0) return
    this.#mesh.net.send(from.index, peer, this.#mesh.sizes.proofs(proofs.length), () => {
      const node = this.#mesh.node(peer)
      if (hears(node)) for (const proof of proofs) this.learnProof(node, proof, from)
    })
  }

  #onHeads(node: SimNode, from: SimNode, heads: readonly Head[], isAnswer: boolean): void {
    if (!hears(node)) return
    const isAsked = (head: Head): boolean => node.asked.has(toAsked(head))
    const fresh = heads.filter((head) => this.#learnHead(node, head))
    this.#reading.readOn(
      node,
      fresh.map((head) => this.#mesh.indexOf.get(head.accountId) ?? -1),
      from,
    )
    if (!this.isEager || node.links.size > eagerPeersMax) return
    // What a round repaired is news to this node alone.
    const named = fresh.filter((head) => !isAnswer || isAsked(head))
    if (named.length === 0) return
    const others = [...node.links].filter((peer) => peer !== from.index)
    for (const peer of this.#mesh.pick(others, namesPerHead))
      this.#mesh.net.send(node.index, peer, this.#mesh.sizes.holdings(named.length, 0, 0), () =>
        this.#onNames(this.#mesh.node(peer), node, named),
      )
  }

  #onNames(node: SimNode, from: SimNode, heads: readonly Head[]): void {
    if (!hears(node)) return
    const wanted = heads.filter((head) => {
      const known = node.heads[this.#mesh.indexOf.get(head.accountId) ?? -1]
      if (known && !isAhead(head, known)) return false
      if (node.asked.has(toAsked(head)) || node.asked.size >= gossipLimits.askedMax) return false
      node.asked.add(toAsked(head))
      return true
    })
    if (wanted.length > 0) this.#rounds.pull(node, from, wanted, [])
  }

  /** As the books do: of one account the longest head, and two of one length are a proof. */
  #learnHead(node: SimNode, head: Head): boolean {
    const account = this.#mesh.indexOf.get(head.accountId)
    if (account === undefined || account === node.index) return false
    const known = node.heads[account]
    if (known?.length === head.length && known.treeHash === head.treeHash) return false
    if (!this.#mesh.notary.isHeadValid(head)) return false
    if (known && known.length > head.length) {
      this.#compareWithPast(node, account, head)
      return false
    }
    const fork = known && findFork([known, head])
    if (fork) {
      this.learnProof(node, fork)
      return false
    }
    node.takeHead(account, head)
    return true
  }

  #compareWithPast(node: SimNode, account: number, head: Head): void {
    const log = node.readLogs[account]
    const isRead = (node.read[account] ?? 0) >= head.length
    if (!log || !isRead || log.treeHashes[head.length - 1] === head.treeHash) return
    this.#suspect(node, account, [head])
  }

  /** Two histories were seen, of different lengths: this node has enough, and others find the contradiction. */
  #suspect(node: SimNode, account: number, heads: readonly Head[]): void {
    const { signer } = this.#mesh.account(account)
    const reason = 'It signed for another history of its log.'
    if (!this.ban(node, { accountId: signer.id, reason, epoch: this.#mesh.epoch, isLocal: true })) return
    for (const peer of node.links) this.#sendHeads(node, peer, heads, false)
  }
}

const toAsked = ({ accountId, length, treeHash }: Head): string => `${accountId}/${length}/${treeHash}`
