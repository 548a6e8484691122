import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../machines/selection/random.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { protocolVersion } from '../../../protocol/index.ts'
import { longRuns, requestsIn, runs } from './runs.ts'
import type { WorkerSpec } from './simulated-world.ts'
import { simulate } from './simulation.ts'
import { llama, toStatus, toWorkerId } from './support.ts'
import { near } from './worlds.ts'

/**
 * The farthest that one client's requests to equal workers are apart from even while it asks one after the other, in
 * requests. A worker that got fewer than all others is taken whenever it is drawn, which is twice as often as the mean,
 * so being behind by k has a chance of about e^(−1.6 k) (Peres, Talwar, Wieder, The (1 + β)-Choice Process and Weighted
 * Balls-into-Bins, 2010): with 20 it is below one in 10¹³. It does not grow with the number of requests, as it would if
 * each choice were a throw of its own.
 */
const turnsApartMax = 20

/** How far the workers' requests were apart from even at the worst moment, each answered before the next. */
function worstApart(seed: number, workers: number, requests: number): number {
  const random = createRandom(seed)
  const directory = new WorkerDirectory()
  const tell = (id: string, atMs: number): void => {
    // Within the band of 5 %, whatever else it says.
    directory.status(id, toStatus({ healthScore: 97 + Math.floor(random() * 4) }), atMs)
  }
  const got = new Map(Array.from({ length: workers }, (_, name) => [toWorkerId(name), 0]))
  for (const id of got.keys()) {
    directory.hello(id, { models: [llama], protocol: protocolVersion, local: false }, 0)
    tell(id, 0)
  }
  let worst = 0
  for (let request = 1; request <= requests; request++) {
    const atMs = request * 100
    const { workerId } = directory.choose({ exclude: new Set() }, Math.floor(random() * 2 ** 32), atMs)
    if (workerId === null) return Infinity
    directory.started(workerId, atMs)
    directory.firstToken(workerId, { promptTokens: 256, ms: 300 }, atMs)
    directory.finished(workerId, { tokens: 20, ms: 400 }, atMs)
    tell(workerId, atMs)
    got.set(workerId, (got.get(workerId) ?? 0) + 1)
    for (const count of got.values()) worst = Math.max(worst, Math.abs(count - request / workers))
  }
  return worst
}

const equal = (count: number, slots: number): WorkerSpec[] =>
  Array.from({ length: count }, () => ({ slots, queueCapacity: 16, answerMs: 4_000, promptMs: 300 }))

interface Shares {
  readonly seed: number
  readonly workers: number
  readonly slots: number
  readonly clients: number
  readonly load: number
}

/** How far the busiest and the idlest are apart from even, in requests. */
function apart({ workers, slots, ...rest }: Shares, perWorker: number): number {
  const requests = workers * perWorker
  const { served } = simulate({
    ...near,
    ...rest,
    arrivals: { load: rest.load },
    workers: equal(workers, slots),
    requests,
    noise: 0.1,
  })
  const mean = served.reduce((sum, count) => sum + count, 0) / workers
  return Math.max(...served.map((count) => Math.abs(count - mean)))
}

/**
 * How far apart they may be after so many requests for each. Three parts add up:
 *
 * - Where workers are never equally busy, that decides and not the turns: a walk. It is one that turns back, with two
 *   workers three times in four, which leaves a third of the variance of dice; with more workers turns decide more often.
 *   Three times the root of the mean is seven of its deviations.
 * - Clients do not know of each other: what each leaves uneven adds up with the root of their number.
 * - A worker that looked slow once is out of the band until it is measured again: half a minute to catch up.
 */
const apartMax = ({ clients, slots, load }: Shares, perWorker: number): number =>
  3 * Math.sqrt(perWorker) + 6 * Math.sqrt(clients) + (30_000 * slots * load) / 4_300

describe('equal workers', () => {
  it('have had the same turns of one client, but for twenty, at every moment', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 12 }), (seed, workers) => {
        expect(worstApart(seed, workers, requestsIn(2_000, 300))).toBeLessThanOrEqual(turnsApartMax)
      }),
      { numRuns: runs(40) },
    )
  })

  it('get the same of many clients that see each other late, but for the root of what was asked', () => {
    const shares = fc.record<Shares>({
      seed: fc.integer(),
      workers: fc.integer({ min: 2, max: 12 }),
      slots: fc.integer({ min: 1, max: 4 }),
      clients: fc.constantFrom(1, 3, 10, 30),
      load: fc.constantFrom(0.1, 0.3, 0.6, 0.8, 0.95),
    })
    fc.assert(
      fc.property(shares, (one) => {
        expect(apart(one, 200)).toBeLessThanOrEqual(apartMax(one, 200))
      }),
      { numRuns: longRuns(8) },
    )
  })

  it('get the same within a tenth over two thousand requests each', () => {
    const shares = fc.record<Shares>({
      seed: fc.integer(),
      workers: fc.integer({ min: 2, max: 4 }),
      slots: fc.integer({ min: 1, max: 4 }),
      clients: fc.constantFrom(1, 10),
      load: fc.constantFrom(0.2, 0.7),
    })
    fc.assert(
      fc.property(shares, (one) => {
        const tenth = 200
        expect(apartMax(one, 2_000)).toBeLessThan(tenth)
        expect(apart(one, 2_000)).toBeLessThanOrEqual(tenth)
      }),
      { numRuns: Math.ceil(longRuns(20) / 10) },
    )
  })
})
