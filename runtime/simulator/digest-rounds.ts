import { roundPeers } from '../../actors/trust/gossip/gossip-limits.ts'
import { toBanRef } from '../../actors/trust/gossip/holdings.ts'
import { differingRanges, type TableDigest } from '../../machines/trust/head-table.ts'
import { type BanRef, scoresLimits } from '../../protocol/messages/scores.ts'
import type { FraudProof, Head } from '../../protocol/trust/index.ts'
import type { Mesh } from './mesh.ts'
import { hears, isAhead, type SimNode } from './sim-node.ts'

export interface RoundPorts {
  /** `isAnswer`: to something that was asked, so it is no news to others. */
  sendHeads(from: SimNode, peer: number, heads: readonly Head[], isAnswer: boolean): void
  sendProofs(from: SimNode, peer: number, proofs: readonly FraudProof[]): void
}

/** Rounds: three random peers are asked whether they hold the same, and what differs is told and asked for. */
export class DigestRounds {
  readonly #mesh: Mesh
  readonly #ports: RoundPorts

  constructor(mesh: Mesh, ports: RoundPorts) {
    this.#mesh = mesh
    this.#ports = ports
  }

  open(node: SimNode): void {
    const { net, sizes } = this.#mesh
    const { digest, bansKey } = node
    for (const peer of this.#mesh.pick([...node.links], roundPeers))
      net.send(node.index, peer, sizes.digest, () =>
        this.#onDigest(this.#mesh.node(peer), node, digest, bansKey),
      )
  }

  #onDigest(node: SimNode, from: SimNode, digest: TableDigest, bansKey: string): void {
    if (!hears(node)) return
    const { ranges: rangeAccounts, net, sizes } = this.#mesh
    const ranges = differingRanges(node.digest, digest)
    const isSameBans = node.bansKey === bansKey
    if (ranges.length === 0 && isSameBans) return
    const listed: number[] = []
    let held = 0
    for (const range of this.#mesh.pick(ranges, ranges.length)) {
      const accounts = rangeAccounts[range] ?? []
      if (held + accounts.length > scoresLimits.holdingsMax) continue
      held += accounts.length
      listed.push(range)
    }
    const bans = isSameBans ? undefined : [...node.proven.values()].slice(0, scoresLimits.bansMax)
    net.send(node.index, from.index, sizes.holdings(held, listed.length, bans?.length ?? 0), () =>
      this.#onList(from, node, listed, bans),
    )
  }

  /** What a peer lists is looked up in its table when the list arrives: it cannot have changed by much. */
  #onList(
    node: SimNode,
    from: SimNode,
    ranges: readonly number[],
    bans: readonly BanRef[] | undefined,
  ): void {
    if (!hears(node)) return
    const ahead: Head[] = []
    const wanted: Head[] = []
    for (const account of ranges.flatMap((range) => this.#mesh.ranges[range] ?? [])) {
      const [mine, theirs] = [node.heads[account], from.heads[account]]
      if (mine === theirs || node.isExcluded(account) || from.isExcluded(account)) continue
      if (mine && (!theirs || isAhead(mine, theirs))) ahead.push(mine)
      if (theirs && (!mine || isAhead(theirs, mine))) wanted.push(theirs)
    }
    const most = scoresLimits.wantedMax
    this.#ports.sendHeads(node, from.index, this.#mesh.pick(ahead, most), true)
    if (bans)
      this.#ports.sendProofs(node, from.index, proofsFor(node, toNews([...node.proven.values()], bans)))
    const wantedBans = bans ? toNews(bans, [...node.proven.values()]) : []
    const chosen = this.#mesh.pick(wanted, most)
    if (chosen.length + wantedBans.length > 0) this.pull(node, from, chosen, wantedBans)
  }

  /** Asks a peer for heads and proofs that it named. */
  pull(node: SimNode, from: SimNode, heads: readonly Head[], bans: readonly BanRef[]): void {
    const { net, sizes } = this.#mesh
    net.send(node.index, from.index, sizes.pull(heads.length, bans.length), () => {
      if (!hears(from)) return
      const current = heads.map((head) => from.heads[this.#mesh.indexOf.get(head.accountId) ?? -1] ?? head)
      this.#ports.sendHeads(from, node.index, current, true)
      this.#ports.sendProofs(from, node.index, proofsFor(from, bans))
    })
  }
}

/** What one knows and the other does not, or only with a later date. */
const toNews = (mine: readonly BanRef[], theirs: readonly BanRef[]): BanRef[] => {
  const known = new Map(theirs.map(({ accountId, epoch }) => [accountId, epoch]))
  return mine.filter(({ accountId, epoch }) => epoch < (known.get(accountId) ?? Infinity))
}

function proofsFor(node: SimNode, bans: readonly BanRef[]): FraudProof[] {
  const wanted = new Set(bans.map(({ accountId }) => accountId))
  return node.books.proofs.filter((proof) => wanted.has(toBanRef(proof).accountId))
}
