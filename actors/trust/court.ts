import type { PeerId } from '../../protocol/index.ts'
import { checkProof, type FraudProof, type NetworkId, toGuilty } from '../../protocol/trust/index.ts'
import type { BanRecord, Books } from './books.ts'
import type { KnownBan, Learned } from './gossip/gossip.port.ts'

export interface CourtPorts {
  readonly ownId: PeerId
  readonly networkId: NetworkId
  readonly books: Books
  readonly onBanned: (record: BanRecord) => void
  /** A contradiction was found here, for all to hear. */
  readonly onFound: (proof: FraudProof) => void
  /** Peers hold proof against this node itself. Called once. */
  readonly onAccused?: ((proof: FraudProof) => void) | undefined
}

/** Checks what is said against accounts, and bans those whom it convicts; never this node itself. */
export class Court {
  readonly #ports: CourtPorts
  #isAccused = false

  constructor(ports: CourtPorts) {
    this.#ports = ports
  }

  /** Everybody whom evidence bans that others can check. */
  banned(): ReadonlyMap<PeerId, KnownBan> {
    const { books } = this.#ports
    const records = books.banRecords.filter(({ isLocal = false }) => !isLocal)
    return new Map(
      records.map(({ accountId, epoch }) => [accountId, { epoch, proof: books.proofAgainst(accountId) }]),
    )
  }

  /** Judges what somebody brings. */
  learn(proof: FraudProof): Learned {
    const { ownId, networkId, books } = this.#ports
    const { guilty } = toGuilty(proof)
    if (guilty === ownId || books.get(guilty)?.card !== undefined) return this.convict(proof)
    // Keys cost nothing, and each can sign against itself: only who paid for an account is worth remembering.
    return checkProof(proof, networkId) ? 'later' : 'invalid'
  }

  /**
   * The same for a proof that somebody of weight brings, or this node found. Of an account that was never introduced it
   * stays here: others would not take it, and which contradictions a node comes across in logs is chance.
   */
  convict(proof: FraudProof): Learned {
    const { ownId, networkId, books, onAccused } = this.#ports
    const found = checkProof(proof, networkId)
    if (!found) return 'invalid'
    if (found.guilty === ownId) {
      if (!this.#isAccused) onAccused?.(proof)
      this.#isAccused = true
      return 'known'
    }
    const { guilty: accountId, epoch } = found
    const isLocal = books.get(accountId)?.card === undefined
    return this.ban({ accountId, reason: banReasons[proof.kind], epoch, proof, isLocal }) ? 'new' : 'known'
  }

  /** The account has a card now: what was found against it before is for all to hear. */
  introduced(accountId: PeerId): void {
    const { proof } = this.#ports.books.recordOf(accountId) ?? {}
    if (proof) this.found(proof)
  }

  /** A contradiction that this node found itself, in logs or messages. */
  found(proof: FraudProof): void {
    if (this.convict(proof) === 'new') this.#ports.onFound(proof)
  }

  /** @returns whether that was news */
  ban(record: BanRecord): boolean {
    const { ownId, books, onBanned } = this.#ports
    if (record.accountId === ownId || !books.ban(record)) return false
    onBanned(record)
    return true
  }
}

/** Why an account is banned, as a sentence. */
export const banReasons: Readonly<Record<FraudProof['kind'], string>> = {
  fork: 'It signed for two different logs of the same length.',
  'two-cards': 'It signed two different cards with the same number.',
  'double-spend': 'It made the same promise to pay twice.',
  'two-scores': 'It stated two different scores from the same log.',
}
