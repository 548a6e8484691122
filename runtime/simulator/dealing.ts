import type { Offer } from '../../protocol/trust/index.ts'
import type { Mesh } from './mesh.ts'
import type { SimEntry, SimLog } from './sim-log.ts'
import { trade, type Trade } from './trade.ts'

export interface Deal {
  readonly client: number
  readonly worker: number
  readonly offer?: Partial<Omit<Offer, 'signature'>>
  readonly isAckless?: boolean
}

/** The requests of a run, and what they leave in the logs of those who dealt. */
export class Dealing {
  readonly #mesh: Mesh
  #spendSeq = 1_000

  constructor(mesh: Mesh) {
    this.#mesh = mesh
  }

  /** Set by whoever has to know that a log grew. */
  onGrown: (account: number) => void = () => {}

  /** Each honest node asks one of the workers that it is connected to, at some moment of this time. */
  plan(durationMs: number, isApart: (client: number, worker: number) => boolean): void {
    const { accounts, clock, random } = this.#mesh
    for (const { index } of accounts)
      clock.after(random() * durationMs, () => this.#ask(index, (worker) => isApart(index, worker)))
  }

  #ask(client: number, isApart: (worker: number) => boolean): void {
    const node = this.#mesh.node(client)
    const workers = [...node.links].filter((peer) => peer < this.#mesh.accounts.length)
    const [worker] = this.#mesh.pick(workers, 1)
    if (!node.isOnline || !node.isHonest || worker === undefined || isApart(worker)) return
    if (!this.#mesh.node(worker).isOnline || this.#isEnded(worker)) return
    this.deal({ client, worker })
  }

  /** One answered request that both sides log. */
  deal(deal: Deal): Trade {
    const made = this.make(deal)
    this.file(deal.worker, { type: 'receipt', epoch: this.#mesh.epochOf(deal.worker), receipt: made.receipt })
    if (made.paid) this.file(deal.client, made.paid)
    return made
  }

  /** One that nobody has logged yet. */
  make({ client, worker, offer, isAckless = false }: Deal): Trade {
    const { params, random } = this.#mesh
    return trade({
      client: this.#mesh.account(client).signer,
      worker: this.#mesh.account(worker).signer,
      params,
      clientEpoch: this.#mesh.epochOf(client),
      workerEpoch: this.#mesh.epochOf(worker),
      spendSeq: this.#spendSeq++,
      clientState: this.logOf(client).state,
      random,
      ...(offer && { offer }),
      isAckless,
    })
  }

  /** Adds to the log of an account. */
  file(account: number, entry: SimEntry): void {
    this.logOf(account).append(entry)
    this.onGrown(account)
  }

  logOf(account: number): SimLog {
    const [log] = this.#mesh.account(account).logs
    if (!log) throw new RangeError(`Expected a log of account ${account}`)
    return log
  }

  /** Whoever broke its log writes nothing more into it: others would not read on. */
  #isEnded(account: number): boolean {
    return this.#mesh.account(account).logs.length > 1 || this.logOf(account).broken !== undefined
  }
}
