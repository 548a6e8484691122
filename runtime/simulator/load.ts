import type { Tier } from '../../machines/scheduling/index.ts'
import { createRandom } from '../../machines/selection/random.ts'
import { genesisParams } from '../../machines/trust/index.ts'
import { LoadClient, type LoadOutcome } from './load-client.ts'
import { type Demand, demands, loadTerms, toMeanRunMs } from './load-terms.ts'
import { LoadWorker } from './load-worker.ts'
import { Members } from './members.ts'
import { firstEpoch } from './mesh.ts'
import type { Notary } from './notary.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface LoadInput {
  readonly seed: number
  /** Work that is asked for over work that can be done. */
  readonly load: number
  readonly demand: Demand
  /** False: everybody is served as a newcomer. */
  readonly hasTiers: boolean
  readonly notary: Notary
  readonly warmUpMinutes?: number
  readonly measuredMinutes?: number
  readonly pause?: () => Promise<void>
}

export interface LoadGroup {
  readonly asked: number
  readonly answered: number
  /** Of those answered: milliseconds from asking to a slot. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Requests that offered a price. */
  readonly paid: number
  readonly tiers: Readonly<Partial<Record<Tier, number>>>
}

export interface LoadResult {
  readonly load: number
  readonly demand: Demand
  readonly givers: number
  readonly takers: number
  readonly seed: number
  readonly hasTiers: boolean
  /** Those that answer and ask. */
  readonly served: LoadGroup
  /** Those that only ask. */
  readonly onlyAsked: LoadGroup
}

const minuteMs = 60_000

/** A mesh in which some answer and ask and others only ask: tiers are earned by receipts, and then it is measured. */
export async function runLoad(input: LoadInput): Promise<LoadResult> {
  const { load, demand, seed, hasTiers, notary, pause } = input
  const { warmUpMinutes = loadTerms.warmUpMinutes, measuredMinutes = loadTerms.measuredMinutes } = input
  const random = createRandom(seed)
  const clock = new VirtualClock(pause)
  const members = new Members(notary, random)
  const epoch = (): number => firstEpoch + Math.floor(clock.nowMs / (1_000 * genesisParams.epochSeconds))
  const givers = Array.from({ length: loadTerms.givers }, () => members.join('giver'))
  const slots = loadTerms.givers * loadTerms.slots
  const meanRunMs = toMeanRunMs(createRandom(seed))
  const gapMs = demands[demand] * minuteMs
  const takerCount = Math.max(1, Math.round((load * slots * gapMs) / meanRunMs) - givers.length)
  const takers = Array.from({ length: takerCount }, () => members.join('taker'))
  const workers = givers.map(({ signer }) => new LoadWorker(signer.id, 'ab'.repeat(32), clock))
  const memberOf = new Map(givers.map((giver) => [giver.signer.id, giver]))

  const clients = [...givers, ...takers].map((member) => {
    // A node's own worker is left out: what it does for itself leaves no receipt and needs no tier.
    const others = workers.filter(({ id }) => id !== member.signer.id)
    return new LoadClient(member, others, {
      clock,
      random,
      epoch,
      hasTiers,
      settle: (workerId, wish, offer) => {
        const worker = memberOf.get(workerId)
        if (worker) members.serve(member, worker, epoch(), { answer: wish, offer: toOfferFields(offer) })
      },
    })
  })

  const endMs = (warmUpMinutes + measuredMinutes) * minuteMs
  const plan = (client: LoadClient): void => {
    const inMs = -Math.log(1 - random()) * gapMs
    if (clock.nowMs + inMs > endMs) return
    clock.after(inMs, () => {
      client.ask()
      plan(client)
    })
  }
  const tell = (): void => {
    for (const worker of workers) worker.publish()
    if (clock.nowMs < endMs) clock.after(loadTerms.statusMs, tell)
  }
  for (const client of clients) plan(client)
  tell()
  // What waits at the end is let through, or the longest waits would be missing.
  await clock.runUntil(endMs + measuredMinutes * minuteMs)

  const toGroup = (group: readonly LoadClient[]): LoadGroup =>
    summarize(
      group.flatMap(({ outcomes }) =>
        outcomes.filter(({ askedAtMs }) => askedAtMs >= warmUpMinutes * minuteMs),
      ),
    )
  return {
    load,
    demand,
    givers: givers.length,
    takers: takers.length,
    seed,
    hasTiers,
    served: toGroup(clients.slice(0, givers.length)),
    onlyAsked: toGroup(clients.slice(givers.length)),
  }
}

const toOfferFields = ({ maxPrice, balanceAfter }: { maxPrice: number; balanceAfter: number }) => ({
  maxPrice,
  balanceAfter,
  flags: { isAuditable: true, isPrivate: false, isStreaming: true, isGratis: maxPrice === 0 },
})

function summarize(outcomes: readonly LoadOutcome[]): LoadGroup {
  const waits = outcomes.flatMap(({ waitMs }) => waitMs ?? []).toSorted((a, b) => a - b)
  const at = (part: number): number => waits[Math.min(waits.length - 1, Math.floor(part * waits.length))] ?? 0
  const counts: Partial<Record<Tier, number>> = {}
  for (const { tier } of outcomes) counts[tier] = (counts[tier] ?? 0) + 1
  return {
    asked: outcomes.length,
    answered: waits.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    paid: outcomes.filter(({ isPaid }) => isPaid).length,
    tiers: counts,
  }
}
