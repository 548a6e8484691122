import type { Regime } from '../../../machines/trust/regime.ts'
import { type Resolution, exchangesMax, resolve } from '../../../machines/trust/resolve.ts'
import { toEra, toWitnesses } from '../../../machines/trust/witnesses.ts'
import { limits, type PeerId } from '../../../protocol/index.ts'
import type { ScoreRequest, ScoreVerify } from '../../../protocol/messages/scores.ts'
import type { ScoreStatement } from '../../../protocol/trust/index.ts'
import { type Desk, type Floor, refuse, shuffled } from './gossip-floor.ts'
import type { GossipLink } from './gossip-link.ts'
import type { Reporters } from './reporters.ts'
import { StatementMemory } from './statement-memory.ts'

/** Witnesses asked about the one account of a round, when nothing is wrong and when something is. */
const witnessesInCalm = 2
const witnessesAsked = 9
/** Accounts looked at to find one with a witness that is connected. */
const subjectsTried = 8

/** One account that witnesses were asked about. */
interface Inquiry {
  readonly accountId: PeerId
  readonly epoch: number
  readonly askedAtMs: number
  readonly asked: readonly PeerId[]
  readonly own: ScoreStatement | undefined
  readonly statements: ScoreStatement[]
  /** Milliseconds that each of them took. */
  readonly answered: Map<PeerId, number>
  readonly exchanges: number
}

/** What came of asking others about an account's score. */
export interface Agreement {
  readonly epoch: number
  readonly kind: Resolution['kind']
  /** Witnesses asked, those that answered, and those who computed the same from the same inputs as this node. */
  readonly asked: number
  readonly answered: number
  readonly agreed: number
}

/** What a round of questions brought to light. */
export interface Findings {
  /** Whose words were about which inputs. */
  readonly answers: readonly {
    readonly accountId: PeerId
    readonly inputDigest: string
    readonly by: PeerId
  }[]
  /** Milliseconds until the answer, of those that answered; undefined for those that were asked and did not. */
  readonly latencies: ReadonlyMap<PeerId, number | undefined>
  /** Peers that know something else: what differs is worth exchanging with them. */
  readonly differing: readonly PeerId[]
  /** A score is contested that this node cannot compute: it needs the log. */
  readonly needsLogs: boolean
}

/**
 * Asks witnesses for their signed word about scores, one account a round, and makes of it what `resolve` says. A
 * score that this node computes itself is never overruled; what it learns is who lies, who knows more, and, where it
 * has not read the log, whether enough others agree. It asks about accounts whose logs rest, because two nodes that
 * read a growing log at different moments do not contradict each other.
 */
export class Inquiries {
  readonly #floor: Floor
  readonly #reporters: Reporters
  readonly #memory = new StatementMemory()
  #open: Inquiry | undefined
  /** The account that was contested in the last round, and how often what differs was exchanged already. */
  #contested: ReadonlyMap<PeerId, number> = new Map()
  #lengths: ReadonlyMap<PeerId, number> = new Map()
  readonly #agreements = new Map<PeerId, Agreement>()

  constructor(floor: Floor, reporters: Reporters) {
    this.#floor = floor
    this.#reporters = reporters
  }

  /** Undefined as long as nobody was asked about the account. */
  agreementOn(accountId: PeerId): Agreement | undefined {
    return this.#agreements.get(accountId)
  }

  stop(): void {
    this.#open = undefined
    this.#contested = new Map()
    this.#lengths = new Map()
  }

  /** Asks anew. What was asked before is to be concluded first. */
  ask(desk: Desk, regime: Regime): void {
    const { ledger, holdings } = desk
    const lengths = ledger.lengths()
    const isResting = (accountId: PeerId): boolean =>
      lengths.get(accountId) === this.#lengths.get(accountId) && !holdings.isBanned(accountId)
    const contested = [...this.#contested.keys()].filter((id) => lengths.has(id))
    const resting = shuffled([...lengths.keys()].filter(isResting), this.#floor.random)
    this.#lengths = lengths
    const count = regime === 'calm' && contested.length === 0 ? witnessesInCalm : witnessesAsked
    this.#open = undefined
    for (const accountId of [...contested, ...resting].slice(0, subjectsTried)) {
      this.#open = this.#askAbout(accountId, count, desk)
      if (this.#open) return
    }
  }

  /** Undefined when none of its witnesses is connected. */
  #askAbout(accountId: PeerId, count: number, { ledger, holdings }: Desk): Inquiry | undefined {
    const { links, now } = this.#floor
    const { epoch } = ledger
    const witnesses = toWitnesses({
      accountId,
      era: toEra(epoch),
      candidates: ledger.lengths().keys(),
      isBanned: (candidate) => holdings.isBanned(candidate),
    })
    const asked = witnesses
      .filter((peerId) => links.has(peerId))
      .slice(0, count)
      .filter((peerId) => links.get(peerId)?.channel.send({ type: 'score-request', accountId, epoch }))
    if (asked.length === 0) return undefined
    return {
      accountId,
      epoch,
      askedAtMs: now(),
      asked,
      own: ledger.statementOf(accountId, epoch),
      statements: [],
      answered: new Map(),
      exchanges: this.#contested.get(accountId) ?? 0,
    }
  }

  /** A peer asks for this node's word. */
  answer({ ledger }: Desk, link: GossipLink, { accountId, epoch }: ScoreRequest): void {
    if (!link.statementAllowance.spend(this.#floor.now())) return
    const statement = ledger.statementOf(accountId, epoch)
    if (statement) link.channel.send({ type: 'score-verify', statement })
  }

  /** Somebody's word came, asked for or not. */
  take({ ledger }: Desk, link: GossipLink, { statement }: ScoreVerify): void {
    const learned = ledger.learnStatement(statement)
    if (learned === 'invalid') return refuse(link)
    const proof = this.#memory.remember(statement)
    if (proof) ledger.learnProof(proof)
    const { accountId, epoch, signerId } = statement
    const inquiry = this.#open
    if (inquiry?.accountId !== accountId || inquiry.epoch !== epoch) return
    if (!inquiry.asked.includes(signerId) || signerId !== link.peerId) return
    // Two words of one witness are enough to see that it contradicts itself.
    if (inquiry.statements.filter((one) => one.signerId === signerId).length >= 2) return
    inquiry.statements.push(statement)
    if (!inquiry.answered.has(signerId)) {
      inquiry.answered.set(signerId, Math.max(0, Math.round(this.#floor.now() - inquiry.askedAtMs)))
    }
  }

  /** What came of the questions of the round before. */
  conclude(ownId: PeerId, regime: Regime): Findings {
    const inquiry = this.#open
    this.#open = undefined
    this.#contested = new Map()
    if (!inquiry) return { answers: [], latencies: new Map(), differing: [], needsLogs: false }
    const { accountId, asked, answered, own, statements, exchanges } = inquiry
    this.#judge(inquiry)
    const resolution = this.#resolve(inquiry, ownId, regime)
    this.#note(inquiry, resolution)
    // Whoever computed from something else may know more, even where that is not enough to doubt the own result.
    const others = new Map(statements.map(({ inputDigest, signerId }) => [inputDigest, signerId]))
    if (own) others.delete(own.inputDigest)
    const { kind } = resolution
    const isContested = kind === 'contradiction' || others.size > (own ? 0 : 1)
    if (isContested && exchanges < exchangesMax) this.#contested = new Map([[accountId, exchanges + 1]])
    return {
      answers: statements.map(({ inputDigest, signerId }) => ({ accountId, inputDigest, by: signerId })),
      latencies: new Map(asked.map((peerId) => [peerId, answered.get(peerId)])),
      differing: isContested ? [...others.values()] : [],
      needsLogs: kind === 'contradiction',
    }
  }

  /** From the same inputs there is one right answer, and this node has computed it. */
  #judge({ own, statements }: Inquiry): void {
    for (const { signerId, inputDigest, values } of statements) {
      if (inputDigest === own?.inputDigest)
        this.#reporters.said(signerId, values.join() === own.values.join())
    }
  }

  #resolve(inquiry: Inquiry, ownId: PeerId, regime: Regime): Resolution {
    const { accountId, epoch, own, statements, exchanges } = inquiry
    const ids = own ? [...inquiry.asked, ownId] : [...inquiry.asked]
    const influences = this.#reporters.influences(ids, ownId)
    let asked = ids.map((witnessId) => ({ witnessId, influence: influences.get(witnessId) ?? 0 }))
    for (;;) {
      const input = { accountId, epoch, asked, statements, exchanges, regime }
      const found = resolve(own ? { ...input, own } : input)
      if (found.kind !== 'contradiction' || found.wrong.length === 0) return found
      // They lie for certain, so what is left without them decides.
      const { wrong } = found
      asked = asked.filter(({ witnessId }) => !wrong.includes(witnessId))
    }
  }

  #note({ accountId, epoch, own, asked, answered, statements }: Inquiry, { kind }: Resolution): void {
    const agreed = new Set(
      statements
        .filter(
          ({ inputDigest, values }) =>
            inputDigest === own?.inputDigest && values.join() === own.values.join(),
        )
        .map(({ signerId }) => signerId),
    )
    this.#agreements.delete(accountId)
    this.#agreements.set(accountId, {
      epoch,
      kind,
      asked: asked.length,
      answered: answered.size,
      agreed: agreed.size,
    })
    const [oldest] = this.#agreements.keys()
    if (this.#agreements.size > limits.reportersMax && oldest !== undefined) this.#agreements.delete(oldest)
  }
}
