import fc from 'fast-check'
import { createActor } from 'xstate'
import { describe, expect, it } from 'vitest'
import { ONE } from '../../../machines/trust/fixed.ts'
import { observe, type Regime, type RegimeFacts } from '../../../machines/trust/regime.ts'
import { regimeMachine } from '../../../machines/trust/regime.machine.ts'
import { accountOf } from './receipt-rig.ts'

/** What a liar does in one round: what it answers, what latency it reports, whether it cries storm. */
interface Lie {
  readonly digest: string | undefined
  readonly ms: number | undefined
  readonly isStorm: boolean
}

interface Reporter {
  readonly influence: number
  /** One for each round; of an honest reporter empty. */
  readonly lies: readonly Lie[]
}

const lie: fc.Arbitrary<Lie> = fc.record({
  digest: fc.option(fc.constantFrom('truth', 'lie', 'another'), { nil: undefined }),
  ms: fc.option(fc.oneof(fc.nat(1_000), fc.nat(1e8)), { nil: undefined }),
  isStorm: fc.boolean(),
})

const roundsMax = 120

/** What everybody can check: the same whoever lies. It may well lead into a storm. */
interface Truth {
  readonly failedAudits: number
  readonly ms: number
}

/** The regime after each round, as a node sees it that asks all of the reporters. */
function regimesOf(reporters: readonly Reporter[], truths: readonly Truth[]): Regime[] {
  const actor = createActor(regimeMachine).start()
  let predictedMsQ: number | undefined
  return truths.map(({ failedAudits, ms }, round) => {
    const said = reporters.map(({ influence, lies }) => ({
      influence,
      ...(lies.length === 0 ? { digest: 'truth', ms, isStorm: false } : lies[round % lies.length]),
    }))
    const facts: RegimeFacts = {
      audits: 100,
      failedAudits,
      proofs: 0,
      members: reporters.length,
      answers: said.flatMap(({ digest, influence }) =>
        digest === undefined ? [] : [{ accountId: accountOf(1), inputDigest: digest, influence }],
      ),
      latencies: said.flatMap(({ ms: reported, influence }) =>
        reported === undefined ? [] : [{ ms: reported, influence }],
      ),
    }
    const observation = observe(facts, predictedMsQ)
    predictedMsQ = observation.predictedMsQ
    const storm = said.reduce((sum, { isStorm, influence }) => sum + (isStorm ? influence : 0), 0)
    actor.send({
      type: 'votes.counted',
      storm,
      total: said.reduce((sum, { influence }) => sum + influence, 0),
    })
    actor.send({ type: 'round.finished', alarms: observation.alarms })
    return actor.getSnapshot().value
  })
}

/** Honest reporters, and liars who have less than a third of all influence. */
const groups = fc
  .record({
    honest: fc.array(fc.integer({ min: 1, max: ONE }), { minLength: 3, maxLength: 12 }),
    liars: fc.array(
      fc.tuple(fc.integer({ min: 1, max: ONE }), fc.array(lie, { minLength: 1, maxLength: 40 })),
      {
        maxLength: 8,
      },
    ),
  })
  .map(({ honest, liars }) => {
    const honestInfluence = honest.reduce((sum, influence) => sum + influence, 0)
    let left = Math.ceil(honestInfluence / 2) - 1
    const taken = liars.flatMap(([wanted, lies]): Reporter[] => {
      const influence = Math.min(wanted, left)
      left -= influence
      return influence > 0 ? [{ influence, lies }] : []
    })
    return { honest: honest.map((influence): Reporter => ({ influence, lies: [] })), liars: taken }
  })

/** Stretches of rounds, some of them bad. */
const truths = fc
  .array(
    fc.record({
      rounds: fc.integer({ min: 1, max: 60 }),
      failedAudits: fc.oneof(fc.constant(0), fc.nat(12)),
      ms: fc.nat(30_000),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((stretches) =>
    stretches
      .flatMap(({ rounds, ...truth }) => Array.from({ length: rounds }, (): Truth => truth))
      .slice(0, roundsMax),
  )

describe('the regime', () => {
  it('is in every round what it would be without liars who have less than a third of the influence', () => {
    fc.assert(
      fc.property(groups, truths, ({ honest, liars }, rounds) => {
        expect(regimesOf([...liars, ...honest], rounds)).toEqual(regimesOf(honest, rounds))
      }),
    )
  })

  it('is changed by a third: the property above is not empty', () => {
    const honest = [ONE, ONE].map((influence): Reporter => ({ influence, lies: [] }))
    const liar: Reporter = { influence: ONE, lies: [{ digest: 'truth', ms: undefined, isStorm: true }] }
    const rounds = Array.from({ length: 10 }, (): Truth => ({ failedAudits: 0, ms: 100 }))
    expect(regimesOf([liar, ...honest], rounds)).toContain('preStorm')
    expect(regimesOf(honest, rounds)).not.toContain('preStorm')
  })

  it('never skips pre-storm on the way into a storm, nor comes out early', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(12), { minLength: 1, maxLength: 200 }), (failures) => {
        const regimes = regimesOf(
          [{ influence: 1, lies: [] }],
          failures.map((failedAudits) => ({ failedAudits, ms: 0 })),
        )
        const stays = regimes.reduce<{ regime: Regime; rounds: number }[]>((all, regime) => {
          const last = all.at(-1)
          if (last?.regime === regime) last.rounds++
          else all.push({ regime, rounds: 1 })
          return all
        }, [])
        stays.forEach(({ regime, rounds }, index) => {
          const next = stays[index + 1]?.regime
          if (regime === 'calm' && next !== undefined) expect(next).toBe('preStorm')
          if (regime === 'storm' && next !== undefined) {
            expect(next).toBe('calm')
            expect(rounds).toBeGreaterThanOrEqual(54)
          }
          if (regime === 'preStorm' && next === 'calm') expect(rounds).toBeGreaterThanOrEqual(5)
        })
      }),
    )
  })
})
