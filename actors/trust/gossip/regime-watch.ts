import { ONE } from '../../../machines/trust/fixed.ts'
import { type Alarms, observe } from '../../../machines/trust/regime.ts'
import { toEra, toWitnesses } from '../../../machines/trust/witnesses.ts'
import type { PeerId } from '../../../protocol/index.ts'
import type { Desk, Floor } from './gossip-floor.ts'
import type { Findings } from './inquiries.ts'
import type { PeerReports } from './peer-reports.ts'
import type { Reporters } from './reporters.ts'

/** Rounds whose proofs count. */
const roundsKept = 30
/** Rounds in which a node that has just started hears of what happened before: no news, and no alarm. */
const settlingRounds = 3

/** What a round says to the regime machine. Influences in Q16.16. */
export interface RoundReport {
  readonly alarms: Alarms
  /** Influence of this node's witnesses that report a storm, and of all of them. */
  readonly storm: number
  readonly total: number
}

/** Turns what was seen in a round into alarms and votes; remembers what that takes. */
export class RegimeWatch {
  readonly #floor: Floor
  readonly #reporters: Reporters
  readonly #reports: PeerReports
  #predictedMsQ: number | undefined
  /** Proofs known at the end of each of the last rounds, latest last. */
  #known: readonly number[] = []
  #rounds = 0

  constructor(floor: Floor, reporters: Reporters, reports: PeerReports) {
    this.#floor = floor
    this.#reporters = reporters
    this.#reports = reports
  }

  /** The books were opened: what they hold is no news. */
  start(): void {
    this.#known = []
    this.#rounds = 0
    this.#predictedMsQ = undefined
  }

  report(desk: Desk, findings: Findings): RoundReport {
    return { alarms: this.#see(desk, findings), ...this.#countVotes(desk) }
  }

  #see({ ledger }: Desk, { answers }: Findings): Alarms {
    const proofs = ledger.proofs().length
    this.#rounds++
    this.#known = this.#rounds <= settlingRounds ? [proofs] : [...this.#known, proofs].slice(-roundsKept)
    const speakers = this.#reporters.influences([...new Set(answers.map(({ by }) => by))], ledger.ownId)
    const facts = {
      audits: 0,
      failedAudits: 0,
      proofs: Math.max(0, proofs - (this.#known[0] ?? proofs)),
      members: ledger.lengths().size,
      answers: answers.map(({ by, ...answer }) => ({ ...answer, influence: speakers.get(by) ?? 0 })),
      latencies: this.#reports.latencies.map(({ ms }) => ({ ms, influence: ONE })),
    }
    const { alarms, predictedMsQ } = observe(facts, this.#predictedMsQ)
    this.#predictedMsQ = predictedMsQ
    return alarms
  }

  #countVotes({ ledger, holdings }: Desk): Omit<RoundReport, 'alarms'> {
    const { links } = this.#floor
    const { ownId, epoch } = ledger
    const witnesses = toWitnesses({
      accountId: ownId,
      era: toEra(epoch),
      candidates: ledger.lengths().keys(),
      isBanned: (accountId) => holdings.isBanned(accountId),
    })
    const connected = witnesses.filter((id) => links.has(id))
    const influences = [...this.#reporters.influences(connected, ownId)]
    const sumOf = (isCounted: (id: PeerId) => boolean): number =>
      influences.reduce((sum, [id, influence]) => sum + (isCounted(id) ? influence : 0), 0)
    return { storm: sumOf((id) => links.get(id)?.regime === 'storm'), total: sumOf(() => true) }
  }
}
