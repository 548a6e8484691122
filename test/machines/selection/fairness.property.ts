import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { affinityExcess, busiestWindow, codesOf, requestsMax } from './bounds.ts'
import { unevenness, type Letdown, type WorkerSpec, type World } from './simulated-world.ts'
import { simulate } from './simulation.ts'

/** Each run is a history of thousands of requests. */
const numRuns = (usual: number): number => Number(process.env['QMESH_TEST_RUNS'] ?? usual)

const near: Pick<World, 'delayMs' | 'statusEveryMs'> = { delayMs: 40, statusEveryMs: 1_000 }
const equal = (count: number, slots: number): WorkerSpec[] =>
  Array.from({ length: count }, () => ({ slots, queueCapacity: 16, answerMs: 4_000, promptMs: 300 }))

describe('equal workers', () => {
  /**
   * Clients do not know of each other, so what luck leaves of each one's share adds up like dice: with the root of their
   * number. It does not grow with the requests, as it would if each choice were a throw of its own.
   */
  const evenness = (clients: number, perWorker: number): number =>
    0.1 + (1.5 * Math.sqrt(clients)) / perWorker

  it('get the same within a tenth and what luck leaves, at any load, of clients that see each other late', () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.integer(),
          workers: fc.integer({ min: 2, max: 12 }),
          slots: fc.integer({ min: 1, max: 4 }),
          clients: fc.constantFrom(1, 3, 10, 30),
          load: fc.constantFrom(0.1, 0.3, 0.6, 0.8, 0.95),
        }),
        ({ seed, workers, slots, clients, load }) => {
          const perWorker = 200
          const { served } = simulate({
            ...near,
            seed,
            workers: equal(workers, slots),
            clients,
            load,
            requests: workers * perWorker,
            noise: 0.1,
          })
          expect(unevenness(served)).toBeLessThanOrEqual(evenness(clients, perWorker))
        },
      ),
      { numRuns: numRuns(12) },
    )
  })

  it('get the same within a tenth, nothing added, over a thousand requests each', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(1, 10), fc.constantFrom(0.2, 0.7), (seed, clients, load) => {
        const { served } = simulate({
          ...near,
          seed,
          workers: equal(5, 4),
          clients,
          load,
          requests: 5_000,
          noise: 0.1,
        })
        expect(unevenness(served)).toBeLessThanOrEqual(0.1)
      }),
      { numRuns: numRuns(3) },
    )
  })
})

const letdown: fc.Arbitrary<Letdown> = fc.record({
  code: fc.constantFrom(...codesOf.mixed, ...codesOf.failure, ...codesOf.verdict),
  afterMs: fc.constantFrom(0, 300, 5_000, Infinity),
  firstToken: fc.boolean(),
  retryAfterMs: fc.constantFrom(0, 60_000),
})
const honest: fc.Arbitrary<WorkerSpec> = fc.record({
  slots: fc.integer({ min: 1, max: 4 }),
  queueCapacity: fc.constantFrom(4, 16),
  answerMs: fc.integer({ min: 1_000, max: 7_000 }),
  promptMs: fc.integer({ min: 100, max: 500 }),
  leavesEveryMs: fc.constantFrom(undefined, undefined, 30_000, 90_000),
})
const failing: fc.Arbitrary<WorkerSpec> = fc
  .tuple(honest, letdown, fc.boolean())
  .map(([worker, down, isLying]) => ({ ...worker, letdown: down, isLying }))

const mesh = fc
  .record({
    seed: fc.integer(),
    good: fc.array(honest, { minLength: 3, maxLength: 8 }),
    bad: fc.array(failing, { maxLength: 2 }),
    clients: fc.constantFrom(1, 4, 12),
    load: fc.constantFrom(0.2, 0.5, 0.8),
    conversations: fc.constantFrom(0, 5),
    noise: fc.constantFrom(0.1, 0.5),
  })
  .map(({ good, bad, ...rest }) => ({
    good: good.length,
    world: { ...near, ...rest, workers: [...good, ...bad], requests: 1_500 },
  }))

describe('a mesh where workers come and go, and some let every request down', () => {
  it('starves no client, bounds what each gives to those, and keeps conversations within their bound', () => {
    fc.assert(
      fc.property(mesh, ({ good, world }) => {
        const { asked, answered, sent } = simulate(world)
        asked.forEach((requests, client) => {
          if (requests >= 50) expect((answered[client] ?? 0) / requests).toBeGreaterThan(0.9)
        })
        for (let worker = good; worker < world.workers.length; worker++) {
          for (let client = 0; client < world.clients; client++) {
            const timesMs = sent
              .filter((one) => one.worker === worker && one.client === client)
              .map(({ atMs }) => atMs)
            for (const windowMs of [60_000, 600_000]) {
              expect(busiestWindow(timesMs, windowMs)).toBeLessThanOrEqual(requestsMax('mixed', windowMs))
            }
          }
        }
        for (const { trace } of sent) {
          if (trace.manner === 'affinity') expect(affinityExcess(trace)).toBeLessThanOrEqual(0)
        }
      }),
      { numRuns: numRuns(25) },
    )
  })
})
