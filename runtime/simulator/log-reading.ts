import type { BanRecord } from '../../actors/trust/books.ts'
import type { FraudProof, Head } from '../../protocol/trust/index.ts'
import type { Mesh } from './mesh.ts'
import type { SimNode } from './sim-node.ts'

/** What reading a log may show. */
export interface ReadingPorts {
  /** Heads of two histories of one log. */
  suspect(node: SimNode, account: number, heads: readonly Head[]): void
  ban(node: SimNode, record: BanRecord): void
  learnProof(node: SimNode, proof: FraudProof): void
}

/** How nodes get each other's logs, and what they see in them. */
export class LogReading {
  readonly #mesh: Mesh
  readonly #ports: ReadingPorts

  constructor(mesh: Mesh, ports: ReadingPorts) {
    this.#mesh = mesh
    this.#ports = ports
  }

  /** Gets logs from connected peers that have them, as Hypercore's replication would. */
  readOn(node: SimNode, accounts: readonly number[], from?: SimNode): void {
    const { net, clock } = this.#mesh
    const coming: [account: number, head: Head][] = []
    for (const account of accounts) {
      const head = node.heads[account]
      const log = head && this.#mesh.logOf(account, head)
      const read = node.read[account] ?? 0
      if (!head || !log || head.length <= read) continue
      if (node.books.isBanned(head.accountId)) continue
      const source = this.#findSource(node, account, head, from)
      if (source === undefined) continue
      net.count('logs', source, (log.bytes[head.length - 1] ?? 0) - (log.bytes[read - 1] ?? 0))
      coming.push([account, head])
    }
    if (coming.length === 0) return
    clock.after(2 * net.latencyMs(), () => {
      for (const [account, head] of coming) this.#hasRead(node, account, head)
    })
  }

  #findSource(node: SimNode, account: number, head: Head, from?: SimNode): number | undefined {
    const serves = (peer: number): boolean => {
      const other = this.#mesh.node(peer)
      if (!other.isOnline || this.#mesh.net.isCut(peer, node.index)) return false
      if (peer === account) return true
      const log = other.readLogs[account]
      return (
        other.isHelpful &&
        (other.read[account] ?? 0) >= head.length &&
        log?.treeHashes[head.length - 1] === head.treeHash
      )
    }
    if (node.links.has(account) && serves(account)) return account
    if (from && node.links.has(from.index) && serves(from.index)) return from.index
    for (const peer of node.links) if (serves(peer)) return peer
    return undefined
  }

  #hasRead(node: SimNode, account: number, head: Head): void {
    const log = this.#mesh.logOf(account, head)
    const read = node.read[account] ?? 0
    if (!log || head.length <= read || !node.isOnline) return
    const before = node.readLogs[account]
    if (before && before !== log && before.treeHashes[read - 1] !== log.treeHashes[read - 1]) {
      this.#ports.suspect(node, account, [this.#mesh.toHead(account, before, read), head])
      return
    }
    node.read[account] = head.length
    node.readLogs[account] = log
    const { broken } = log
    if (broken && head.length >= broken.length) this.#ports.ban(node, broken.record)
    for (const { index, other, otherIndex, proof } of log.conflicts) {
      const place = this.#mesh.indexOf.get(other.accountId) ?? -1
      const isOtherRead = node.readLogs[place] === other && (node.read[place] ?? 0) > otherIndex
      if (isOtherRead && head.length > index) this.#ports.learnProof(node, proof)
    }
  }
}
