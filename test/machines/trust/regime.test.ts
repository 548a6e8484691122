import { describe, expect, it } from 'vitest'
import { ONE } from '../../../machines/trust/fixed.ts'
import {
  noAlarms,
  observe,
  quietSignal,
  type RegimeFacts,
  type RegimeSignal,
  stepSignal,
} from '../../../machines/trust/regime.ts'
import { accountOf } from './receipt-rig.ts'

const quiet: RegimeFacts = { audits: 0, failedAudits: 0, proofs: 0, members: 100, answers: [], latencies: [] }
const alarmsOf = (facts: Partial<RegimeFacts>, predictedMsQ?: number) =>
  observe({ ...quiet, ...facts }, predictedMsQ).alarms

describe('the alarms of a round', () => {
  it('are silent where nothing happened', () => {
    expect(observe(quiet)).toEqual({ alarms: noAlarms, predictedMsQ: undefined })
    expect(alarmsOf({ members: 0 })).toEqual(noAlarms)
  })

  it('count failed audits in full from a tenth', () => {
    expect(alarmsOf({ audits: 100, failedAudits: 5 }).audits).toBe(ONE / 2)
    expect(alarmsOf({ audits: 100, failedAudits: 10 }).audits).toBe(ONE)
    expect(alarmsOf({ audits: 100, failedAudits: 100 }).audits).toBe(ONE)
  })

  it('count proofs in full from one for a hundred members', () => {
    expect(alarmsOf({ proofs: 1, members: 400 }).proofs).toBe(ONE / 4)
    expect(alarmsOf({ proofs: 1, members: 100 }).proofs).toBe(ONE)
    expect(alarmsOf({ proofs: 1, members: 3 }).proofs).toBe(ONE)
  })

  it('count dissent by influence, beside the largest group of each account, from a third on', () => {
    const answer = (account: number, inputDigest: string, influence: number) => ({
      accountId: accountOf(account),
      inputDigest,
      influence,
    })
    expect(alarmsOf({ answers: [answer(1, 'a', 6), answer(1, 'b', 4)] }).dissent).toBe(Math.floor(0.4 * ONE))
    // The same digests about another account are another question.
    expect(alarmsOf({ answers: [answer(1, 'a', 5), answer(2, 'b', 5)] }).dissent).toBe(0)
    expect(alarmsOf({ answers: [answer(1, 'a', 2), answer(1, 'b', 1)] }).dissent).toBe(Math.floor(ONE / 3))
    expect(alarmsOf({ answers: [answer(1, 'a', 2_001), answer(1, 'b', 1_000)] }).dissent).toBe(0)
    expect(alarmsOf({ answers: [answer(1, 'a', 0), answer(1, 'b', 0)] }).dissent).toBe(0)
  })

  it('compare the median latency with what was expected, and expect an eighth more of what came', () => {
    const latencies = [100, 900, 5_000].map((ms) => ({ ms, influence: ONE }))
    const first = observe({ ...quiet, latencies })
    expect(first).toEqual({ alarms: noAlarms, predictedMsQ: 900 * ONE })
    const slow = latencies.map(({ influence }) => ({ ms: 8_900, influence }))
    const second = observe({ ...quiet, latencies: slow }, first.predictedMsQ)
    // 8 of 20 seconds, halved.
    expect(second.alarms.latency).toBe(Math.floor(0.2 * ONE))
    expect(second.predictedMsQ).toBe(1_900 * ONE)
    expect(observe(quiet, second.predictedMsQ).predictedMsQ).toBe(1_900 * ONE)
    expect(alarmsOf({ latencies: [{ ms: 10 ** 9, influence: 1 }] }, 0).latency).toBe(ONE / 2)
  })
})

describe('the signal', () => {
  const feed = (shares: readonly number[]): RegimeSignal =>
    shares.reduce((signal, share) => stepSignal(signal, { ...noAlarms, audits: share * ONE }), quietSignal)

  it('is the mean of three rounds, and half of what it rose in two', () => {
    expect(feed([0.75])).toMatchObject({ entropy: ONE / 4, derivative: ONE / 8 })
    expect(feed([0.75, 0.75])).toMatchObject({ entropy: ONE / 2, derivative: ONE / 4 })
    expect(feed([0.75, 0.75, 0.75])).toMatchObject({ entropy: 0.75 * ONE, derivative: ONE / 4 })
    expect(feed([0.75, 0.75, 0.75, 0])).toMatchObject({ entropy: ONE / 2, derivative: 0 })
    expect(feed([0.75, 0.75, 0.75, 0, 0])).toMatchObject({ entropy: ONE / 4, derivative: -ONE / 4 })
  })

  it('follows the loudest alarm, whichever it is, and none beyond its bounds', () => {
    for (const name of ['audits', 'proofs', 'dissent', 'latency'] as const) {
      expect(stepSignal(quietSignal, { ...noAlarms, [name]: 300 }).entropy).toBe(100)
      expect(stepSignal(quietSignal, { ...noAlarms, [name]: 1e9 }).worst).toEqual([ONE, 0, 0])
      expect(stepSignal(quietSignal, { ...noAlarms, [name]: NaN }).worst).toEqual([0, 0, 0])
    }
  })
})
