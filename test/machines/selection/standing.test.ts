import { describe, expect, it } from 'vitest'
import { errorCatalogue, errorCodes, limits } from '../../../protocol/index.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { afterAnswer, afterFirstToken, unknownSpeed } from '../../../machines/selection/speed.ts'
import {
  afterCancel,
  afterFailure,
  afterStart,
  afterSuccess,
  barrier,
  failureWork,
  freshStanding,
  openMax,
  standingTerms,
  type Standing,
} from '../../../machines/selection/standing.ts'

const fail = (standing: Standing, nowMs: number): Standing =>
  afterFailure(standing, 'QM_INFERENCE_FAILED', nowMs)

const broken = (nowMs: number): Standing => fail(fail(fail(freshStanding, nowMs), nowMs), nowMs)

describe('standing', () => {
  it('opens the breaker after three failures in a row, not after three with a success between', () => {
    expect(barrier(fail(fail(freshStanding, 0), 0), 0)).toBeUndefined()
    expect(barrier(broken(0), 0)).toBe('breaker-open')
    expect(barrier(fail(afterSuccess(fail(fail(freshStanding, 0), 0)), 0), 0)).toBeUndefined()
  })

  it('lets one probe through when its time is over; success closes, failure opens for twice as long', () => {
    const open = broken(0)
    expect(barrier(open, 4_999)).toBe('breaker-open')
    expect(barrier(open, 5_000)).toBeUndefined()
    const probing = afterStart(open, 5_000)
    expect(barrier(probing, 5_001)).toBe('probe-under-way')
    expect(barrier(afterSuccess(probing), 5_001)).toBeUndefined()
    const again = fail(probing, 6_000)
    expect(barrier(again, 15_999)).toBe('breaker-open')
    expect(barrier(again, 16_000)).toBeUndefined()
  })

  it('bounds the open time, and gives a probe up of which nothing is heard', () => {
    let standing = broken(0)
    let nowMs = 0
    for (let probe = 0; probe < 40; probe++) {
      nowMs = standing.openUntilMs
      standing = fail(afterStart(standing, nowMs), nowMs)
    }
    expect(standing.openUntilMs - nowMs).toBe(standingTerms.openMs.max)
    const lost = afterStart(standing, standing.openUntilMs)
    expect(barrier(lost, standing.openUntilMs + standingTerms.probeMsMax)).toBeUndefined()
  })

  it('lets requests that were under way when the breaker opened fail without opening it longer', () => {
    const open = broken(0)
    const late = fail(fail(open, 100), 200)
    expect(late).toStrictEqual({ ...open, failuresInRow: 5 })
  })

  it('ends a cancelled probe without blame, but not so that the next may follow at once', () => {
    const probing = afterStart(broken(0), 5_000)
    const cancelled = afterCancel(probing)
    expect(cancelled.failuresInRow).toBe(3)
    expect(barrier(cancelled, 5_001)).toBe('breaker-open')
    expect(barrier(cancelled, 10_000)).toBeUndefined()
  })

  it('halves past failures every half-life', () => {
    const failed = fail(freshStanding, 0)
    expect(failureWork(failed, 0)).toBe(standingTerms.failureWork)
    expect(failureWork(failed, standingTerms.failureHalfLifeMs)).toBe(standingTerms.failureWork / 2)
    expect(failureWork(failed, standingTerms.failureHalfLifeMs * 4)).toBe(0)
  })

  it('doubles the pause after refusals, whatever the worker asks for, and forgets it with an answer', () => {
    let standing = freshStanding
    let nowMs = 0
    const pauses: number[] = []
    for (let refusal = 0; refusal < 9; refusal++) {
      standing = afterFailure(standing, 'QM_QUEUE_FULL', nowMs)
      pauses.push(standing.pausedUntilMs - nowMs)
      nowMs = standing.pausedUntilMs
    }
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    expect(afterFailure(freshStanding, 'QM_QUEUE_FULL', 0, { retryAfterMs: 7_000 }).pausedUntilMs).toBe(7_000)
    expect(afterFailure(freshStanding, 'QM_QUEUE_FULL', 0, { retryAfterMs: 1e9 }).pausedUntilMs).toBe(30_000)
    expect(barrier(afterSuccess(standing), nowMs)).toBeUndefined()
    // Five refused at once were sent before the first refusal was known.
    const once = afterFailure(freshStanding, 'QM_QUEUE_FULL', 0)
    expect(afterFailure(once, 'QM_QUEUE_FULL', 1)).toMatchObject({ refusalsInRow: 1, pausedUntilMs: 500 })
  })

  it.each(errorCodes)('holds %s against the worker only if it is to blame', (code) => {
    const { blame } = errorCatalogue[code]
    const after = afterFailure(freshStanding, code, 0)
    expect(after.failuresInRow).toBe(blame === 'worker' ? 1 : 0)
    const isBlameless = blame === 'client' && code !== 'QM_MODEL_UNKNOWN' && code !== 'QM_MODEL_KIND'
    const { verdictsInRow } = after
    if (isBlameless) expect(after).toStrictEqual({ ...freshStanding, verdictsInRow })
    else expect(after).not.toMatchObject({ refusalsInRow: 0, failuresInRow: 0 })
  })

  it('believes a few verdicts in a row, and pauses a worker that finds every request wrong', () => {
    let standing = freshStanding
    for (let verdict = 1; verdict <= standingTerms.verdictsMax; verdict++) {
      standing = afterFailure(standing, 'QM_CONTEXT_EXCEEDED', 0)
      expect(barrier(standing, 0)).toBeUndefined()
    }
    standing = afterFailure(standing, 'QM_JSON_SCHEMA_INVALID', 0)
    expect(barrier(standing, standingTerms.verdictPauseMs - 1)).toBe('refused-lately')
    expect(barrier(standing, standingTerms.verdictPauseMs)).toBeUndefined()
    expect(openMax(standing)).toBe(standingTerms.allowance.first)
    // Those sent before the first pause began are one verdict with it.
    expect(afterFailure(standing, 'QM_CONTEXT_EXCEEDED', 1)).toStrictEqual(standing)
    expect(afterSuccess(standing)).toMatchObject({ verdictsInRow: 0, pausedUntilMs: 0 })
  })

  it('takes further verdicts for refusals where others answer the same client', () => {
    let standing = freshStanding
    let nowMs = 0
    const pauses: number[] = []
    for (let verdict = 1; verdict <= 12; verdict++) {
      standing = afterFailure(standing, 'QM_CONTEXT_EXCEEDED', nowMs, { isOdd: true })
      pauses.push(Math.max(0, standing.pausedUntilMs - nowMs))
      nowMs = Math.max(nowMs, standing.pausedUntilMs)
    }
    expect(pauses).toEqual([0, 0, 0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    expect(openMax(standing)).toBe(1)
    expect(openMax(afterSuccess(standing))).toBe(limits.requestsPerPeerMax)
  })

  it.each(['QM_CANCELLED', 'QM_NODE_STOPPED', 'QM_REQUEST_INVALID'] as const)(
    'learns nothing from %s, which only the client gives itself',
    (code) => {
      let standing = freshStanding
      for (let time = 0; time < 20; time++) standing = afterFailure(standing, code, time)
      expect(standing).toStrictEqual(freshStanding)
    },
  )

  it('trusts with more at once by success, with less by failure', () => {
    expect(afterSuccess(freshStanding).allowance).toBe(5)
    expect(fail(freshStanding, 0).allowance).toBe(2)
    let standing = freshStanding
    for (let answer = 0; answer < 200; answer++) standing = afterSuccess(standing)
    expect(standing.allowance).toBe(standingTerms.allowance.max)
  })
})

describe('speed', () => {
  it('lets a claim weigh less with each answer, and nothing after five', () => {
    const claims = [
      { firstTokenMs: 1, tokenMs: 1 },
      { firstTokenMs: 10_000, tokenMs: 10_000 },
    ]
    const terms = claims.map((claim) => {
      let speed = unknownSpeed(claim)
      const seen = [speed.responsiveness]
      for (let answer = 0; answer < 5; answer++) {
        speed = afterFirstToken(speed, { promptTokens: 256, ms: 500 }, answer, claim)
        speed = afterAnswer(speed, { tokens: 101, ms: 5_000 }, answer, claim)
        seen.push(speed.responsiveness)
      }
      expect(speed).toMatchObject({ responsiveness: 0.5, performance: 0.5 })
      return seen
    })
    const gaps = terms[0]?.map((term, at) => term - (terms[1]?.[at] ?? 0)) ?? []
    expect(gaps.toSorted((a, b) => b - a)).toEqual(gaps)
    expect(gaps[0]).toBeGreaterThan(0.9)
  })

  it('compares workers fairly whatever the length of their prompts', () => {
    const short = afterFirstToken(unknownSpeed(), { promptTokens: 0, ms: 100 }, 0)
    const long = afterFirstToken(unknownSpeed(), { promptTokens: 576, ms: 1_000 }, 0)
    expect(short.firstTokenMs).toBe(long.firstTokenMs)
    expect(short.firstTokenMs).toBe(500)
  })

  it('takes milliseconds per token from the gaps, and forgets old ones', () => {
    let speed = afterAnswer(unknownSpeed(), { tokens: 11, ms: 1_000 }, 0)
    expect(speed.tokenMs).toBe(100)
    expect(afterAnswer(speed, { tokens: 1, ms: 77 }, 0).tokenMs).toBe(100)
    for (let answer = 0; answer < 40; answer++) speed = afterAnswer(speed, { tokens: 11, ms: 200 }, 0)
    expect(speed.tokenMs).toBeCloseTo(20, 0)
  })

  it('forgets what a worker was by when it does better after a long time, and only then', () => {
    let speed = unknownSpeed()
    for (let answer = 0; answer < 9; answer++) {
      speed = afterFirstToken(speed, { promptTokens: 256, ms: 1_000 }, 0)
    }
    const toFirstTokenMs = (ms: number, nowMs: number) =>
      afterFirstToken(speed, { promptTokens: 256, ms }, nowMs).firstTokenMs
    expect(toFirstTokenMs(500, 0)).toBe(900)
    expect(toFirstTokenMs(500, 600_000)).toBeCloseTo(500, 0)
    expect(toFirstTokenMs(1_500, 600_000)).toBe(toFirstTokenMs(1_500, 0))
  })

  it('does not take one long wait for slowness, but several', () => {
    let speed = unknownSpeed()
    for (let answer = 0; answer < 9; answer++) {
      speed = afterFirstToken(speed, { promptTokens: 256, ms: 400 }, 0)
    }
    const before = speed.responsiveness
    speed = afterFirstToken(speed, { promptTokens: 256, ms: 60_000 }, 0)
    // Less than the band is wide: it stays among the best of equal health.
    expect(0.3 * (before - speed.responsiveness)).toBeLessThan(0.05 * (0.7 + 0.3 * before))
    for (let answer = 0; answer < 20; answer++) {
      speed = afterFirstToken(speed, { promptTokens: 256, ms: 60_000 }, 0)
    }
    expect(speed.responsiveness).toBeLessThan(0.02)
  })

  it('learns nothing from nonsense', () => {
    const speed = unknownSpeed()
    expect(afterFirstToken(speed, { promptTokens: 5, ms: Number.NaN }, 0)).toBe(speed)
    expect(afterFirstToken(speed, { promptTokens: 5, ms: -1 }, 0)).toBe(speed)
    expect(afterAnswer(speed, { tokens: 5, ms: Number.NaN }, 0).tokenMs).toBeUndefined()
  })
})

describe('random', () => {
  it('is the same for the same seed, in [0, 1), and even', () => {
    const draw = (seed: number): number[] => {
      const random = createRandom(seed)
      return Array.from({ length: 10_000 }, () => random())
    }
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    const buckets = Array.from({ length: 10 }, () => 0)
    for (const value of draw(9)) buckets[Math.floor(value * 10)] = (buckets[Math.floor(value * 10)] ?? 0) + 1
    for (const count of buckets) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })
})
