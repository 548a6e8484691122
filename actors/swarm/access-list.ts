import { limits, type PeerId } from '../../protocol/index.ts'

/** Who may connect: the owner's lists, and what peers did during this run. Bounded; the oldest offence is forgotten first. */
export class AccessList {
  readonly #allow: ReadonlySet<PeerId> | undefined
  readonly #deny: ReadonlySet<PeerId>
  readonly #banned = new Set<PeerId>()
  readonly #violations = new Map<PeerId, number>()

  constructor(lists: {
    readonly allow?: readonly PeerId[] | undefined
    readonly deny?: readonly PeerId[] | undefined
  }) {
    this.#allow = lists.allow && lists.allow.length > 0 ? new Set(lists.allow) : undefined
    this.#deny = new Set(lists.deny)
  }

  allows(peerId: PeerId): boolean {
    if (this.#deny.has(peerId) || this.#banned.has(peerId)) return false
    return this.#allow?.has(peerId) ?? true
  }

  ban(peerId: PeerId): void {
    this.#banned.delete(peerId)
    this.#banned.add(peerId)
    this.#violations.delete(peerId)
    dropOldest(this.#banned)
  }

  /** Violations so far: reconnecting does not wash them off. */
  violations(peerId: PeerId): number {
    return this.#violations.get(peerId) ?? 0
  }

  remember(peerId: PeerId, violations: number): void {
    this.#violations.delete(peerId)
    if (violations > 0) this.#violations.set(peerId, violations)
    dropOldest(this.#violations)
  }
}

/** Sets and maps keep the order of insertion, so the first key is the oldest. */
function dropOldest(entries: Set<PeerId> | Map<PeerId, number>): void {
  if (entries.size <= limits.offendersMax) return
  for (const oldest of entries.keys()) {
    entries.delete(oldest)
    return
  }
}
