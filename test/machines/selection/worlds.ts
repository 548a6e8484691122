import fc from 'fast-check'
import type { ErrorCode } from '../../../protocol/index.ts'
import { codesOf } from './bounds.ts'
import type { WorkerSpec, World } from './simulated-world.ts'

export const near: Pick<World, 'delayMs' | 'statusEveryMs'> = { delayMs: 40, statusEveryMs: 1_000 }

/** Answers all that it gets; it may leave and come back. */
export const honest: fc.Arbitrary<WorkerSpec> = fc.record({
  slots: fc.integer({ min: 1, max: 4 }),
  queueCapacity: fc.constantFrom(4, 16),
  answerMs: fc.integer({ min: 1_000, max: 7_000 }),
  promptMs: fc.integer({ min: 100, max: 500 }),
  leavesEveryMs: fc.constantFrom(undefined, undefined, 30_000, 90_000),
})

/** Answers nothing, in its own way. */
export const failing = (codes: readonly ErrorCode[]): fc.Arbitrary<WorkerSpec> => {
  const letdown = fc.record({
    code: fc.constantFrom(...codes),
    afterMs: fc.constantFrom(0, 300, 5_000, Infinity),
    firstToken: fc.boolean(),
    retryAfterMs: fc.constantFrom(0, 60_000),
  })
  return fc
    .tuple(honest, letdown, fc.boolean())
    .map(([worker, down, isLying]) => ({ ...worker, letdown: down, isLying }))
}

/** Arrivals that take no notice of what becomes of them; load may be more than those present can bear. */
export const crowded = (requests: number): fc.Arbitrary<{ readonly good: number; readonly world: World }> =>
  fc
    .record({
      seed: fc.integer(),
      good: fc.array(honest, { minLength: 3, maxLength: 8 }),
      bad: fc.array(failing([...codesOf.mixed, ...codesOf.failure, ...codesOf.verdict]), { maxLength: 2 }),
      clients: fc.constantFrom(1, 4, 12),
      arrivals: fc.record({ load: fc.constantFrom(0.2, 0.5, 0.8) }),
      conversations: fc.constantFrom(0, 5),
      noise: fc.constantFrom(0.1, 0.5),
    })
    .map(({ good, bad, ...rest }) => ({
      good: good.length,
      world: { ...near, ...rest, workers: [...good, ...bad], requests },
    }))

/**
 * Each client has a few requests open, one honest worker at least stays and has room for them all, and up to seven let
 * everything down. The workers are in this order: those who stay, those who come and go, the bad ones.
 */
export const roomy = (
  requests: number,
): fc.Arbitrary<{ readonly good: number; readonly each: number; readonly world: World }> =>
  fc
    .record({
      seed: fc.integer(),
      staying: fc.array(honest, { minLength: 1, maxLength: 2 }),
      leaving: fc.array(honest, { maxLength: 4 }),
      bad: fc.array(
        failing([...codesOf.failure, ...codesOf.refusal.filter((code) => code !== 'QM_INTERNAL')]),
        {
          minLength: 1,
          maxLength: 7,
        },
      ),
      clients: fc.integer({ min: 1, max: 6 }),
      each: fc.integer({ min: 1, max: 3 }),
      conversations: fc.constantFrom(0, 5),
      noise: fc.constantFrom(0.1, 0.5),
    })
    .map(({ staying, leaving, bad, each, ...rest }) => {
      // A status that is late may count a client's requests once more.
      const queueCapacity = rest.clients * each + each
      const stay = staying.map((worker) => ({ ...worker, queueCapacity, leavesEveryMs: undefined }))
      return {
        good: staying.length + leaving.length,
        each,
        world: { ...near, ...rest, arrivals: { each }, workers: [...stay, ...leaving, ...bad], requests },
      }
    })
