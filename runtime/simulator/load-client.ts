import { newcomer, type Precedence, type Tier } from '../../machines/scheduling/index.ts'
import { WorkerDirectory } from '../../machines/selection/index.ts'
import { BanSet, genesisParams, toBurn, toCredit, toPrecedence, toScore } from '../../machines/trust/index.ts'
import { type PeerId, protocolVersion, type Status } from '../../protocol/index.ts'
import { loadTerms, toWish, type Wish } from './load-terms.ts'
import type { LoadWorker } from './load-worker.ts'
import type { Member } from './members.ts'
import { toOffered } from './trade.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface LoadClientPorts {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly epoch: () => number
  /** False: everybody is served as a newcomer. */
  readonly hasTiers: boolean
  /** An answer came; both sides write it down. `maxPrice` and `balanceAfter` are those of the offer. */
  readonly settle: (
    workerId: PeerId,
    wish: Wish,
    offer: { readonly maxPrice: number; readonly balanceAfter: number },
  ) => void
}

/** What became of one request. */
export interface LoadOutcome {
  readonly askedAtMs: number
  readonly tier: Tier
  readonly isPaid: boolean
  /** Milliseconds from asking to a slot; undefined without an answer. */
  readonly waitMs: number | undefined
}

/** One who asks: the product's choice of a worker, its own tier, and what it can pay. */
export class LoadClient {
  readonly member: Member
  readonly outcomes: LoadOutcome[] = []
  readonly #ports: LoadClientPorts
  readonly #directory = new WorkerDirectory()
  readonly #workers = new Map<PeerId, LoadWorker>()
  readonly #heard = new Map<PeerId, Status>()
  #reserved = 0
  #count = 0

  constructor(member: Member, workers: readonly LoadWorker[], ports: LoadClientPorts) {
    this.member = member
    this.#ports = ports
    for (const worker of workers) {
      this.#workers.set(worker.id, worker)
      const { models } = worker
      this.#directory.hello(worker.id, { models, protocol: protocolVersion, local: false }, 0)
    }
  }

  ask(): void {
    const wish = toWish(this.#ports.random)
    const { params, ...funds } = this.#funds()
    const maxPrice = toOffered(wish, funds.free + funds.line, params)
    const offer = { maxPrice, balanceAfter: funds.free - maxPrice - toBurn(maxPrice, params) }
    this.#hearStatuses()
    const precedence = this.#precedence(maxPrice)
    this.#try({ wish, offer, askedAtMs: this.#ports.clock.nowMs, precedence }, new Set())
  }

  /** Statuses come by themselves; those between two requests change nothing. */
  #hearStatuses(): void {
    for (const [id, { published }] of this.#workers) {
      if (this.#heard.get(id) === published) continue
      this.#heard.set(id, published)
      this.#directory.status(id, published, this.#ports.clock.nowMs)
    }
  }

  #funds() {
    const params = genesisParams
    const { balance, line } = toCredit(this.member.state, this.#ports.epoch(), params)
    return { params, free: balance - this.#reserved, line }
  }

  /** Who offers nothing is served as a newcomer, whatever it has done. */
  #precedence(maxPrice: number): Precedence {
    if (!this.#ports.hasTiers || maxPrice === 0) return newcomer
    const options = { bans: BanSet.empty, params: genesisParams }
    return toPrecedence(toScore(this.member.state, this.#ports.epoch(), options).s, genesisParams)
  }

  #try(request: Open, exclude: ReadonlySet<PeerId>): void {
    const { clock, random, settle } = this.#ports
    const { wish, offer, askedAtMs, precedence } = request
    const end = (waitMs: number | undefined): void =>
      void this.outcomes.push({ askedAtMs, tier: precedence.tier, isPaid: offer.maxPrice > 0, waitMs })
    const seed = Math.floor(random() * 2 ** 32)
    const { workerId } = this.#directory.choose({ exclude }, seed, clock.nowMs)
    const worker = workerId === null ? undefined : this.#workers.get(workerId)
    if (!worker || workerId === null || exclude.size >= loadTerms.attempts) return end(undefined)
    const { promptTokens, tokens, firstTokenMs, runMs } = wish
    const reserve = offer.maxPrice + toBurn(offer.maxPrice, genesisParams)
    this.#reserved += reserve
    this.#directory.started(workerId, clock.nowMs)
    const sentAtMs = clock.nowMs
    worker.submit({
      jobId: `${this.member.signer.id}:${this.#count++}`,
      waitMs: precedence.waitMs,
      wish,
      started: () => {
        end(clock.nowMs - askedAtMs)
        clock.after(firstTokenMs, () =>
          this.#directory.firstToken(workerId, { promptTokens, ms: clock.nowMs - sentAtMs }, clock.nowMs),
        )
      },
      finished: () => {
        this.#reserved -= reserve
        this.#directory.finished(workerId, { tokens, ms: runMs - firstTokenMs }, clock.nowMs)
        settle(workerId, wish, offer)
      },
      failed: (code, retryAfterMs) => {
        this.#reserved -= reserve
        this.#directory.failed(workerId, code, clock.nowMs, retryAfterMs)
        this.#try(request, new Set([...exclude, workerId]))
      },
    })
  }
}

interface Open {
  readonly wish: Wish
  readonly offer: { readonly maxPrice: number; readonly balanceAfter: number }
  readonly askedAtMs: number
  readonly precedence: Precedence
}
