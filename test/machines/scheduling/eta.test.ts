import { describe, expect, it } from 'vitest'
import { AnswerLengths } from '../../../machines/scheduling/answer-lengths.ts'
import { ServiceEstimate, Timeline } from '../../../machines/scheduling/eta.ts'
import { createRandom } from '../../../machines/selection/random.ts'

describe('service estimate', () => {
  it('is near after one answer, whatever the first guess', () => {
    for (const runMs of [20, 2_000, 200_000]) {
      const estimate = new ServiceEstimate()
      estimate.learn({ promptTokens: 100, completionTokens: 50, runMs })
      const guessedMs = estimate.runMs({ promptTokens: 100, maxTokens: 1_000 })
      expect(guessedMs / runMs).toBeGreaterThan(0.4)
      expect(guessedMs / runMs).toBeLessThan(2.5)
    }
  })

  it('tells reading from writing from their sums, with noise', () => {
    const estimate = new ServiceEstimate()
    const random = createRandom(5)
    for (let answer = 0; answer < 400; answer++) {
      const promptTokens = Math.floor(random() * 2_000)
      const completionTokens = Math.floor(1 + random() * 200)
      const runMs = (promptTokens * 0.4 + completionTokens * 12) * (0.9 + random() * 0.2)
      estimate.learn({ promptTokens, completionTokens, runMs })
    }
    const read = estimate.prefillMs({ promptTokens: 1_000, maxTokens: 1 })
    expect(read).toBeGreaterThan(400 * 0.8)
    expect(read).toBeLessThan(400 * 1.2)
    const whole = estimate.runMs({ promptTokens: 1_000, maxTokens: 50 })
    expect(whole).toBeGreaterThan(1_000 * 0.85)
    expect(whole).toBeLessThan(1_000 * 1.15)
  })

  it('expects no more tokens than were asked for, nor more than usual', () => {
    const estimate = new ServiceEstimate()
    for (let answer = 0; answer < 30; answer++) {
      estimate.learn({ promptTokens: 10, completionTokens: 100, runMs: 1_000 })
    }
    const work = (maxTokens: number) => estimate.runMs({ promptTokens: 10, maxTokens })
    expect(work(10)).toBeLessThan(work(100) / 5)
    expect(work(30_000)).toBeCloseTo(work(100), -1)
  })

  it('takes an answer that was begun elsewhere and drawn once more for whole, not for cut off', () => {
    const estimate = new ServiceEstimate()
    for (const completionTokens of [100, 1_000]) {
      estimate.learn({ promptTokens: 10, completionTokens, runMs: 1_000, maxTokens: 2_000 })
    }
    // It had 100 tokens, of which the last 40 were this worker's, of at most 60.
    estimate.learn({ promptTokens: 10, completionTokens: 100, runMs: 1_000, maxTokens: 60 })
    expect(estimate.answerTokens(2_000)).toBeCloseTo(400)
  })

  it('learns nothing from a run without time or tokens', () => {
    const estimate = new ServiceEstimate()
    const before = estimate.runMs({ promptTokens: 10, maxTokens: 10 })
    for (const runMs of [0, -5, Number.NaN]) {
      estimate.learn({ promptTokens: 10, completionTokens: 10, runMs })
    }
    estimate.learn({ promptTokens: 0, completionTokens: 0, runMs: 500 })
    expect(estimate.runMs({ promptTokens: 10, maxTokens: 10 })).toBe(before)
  })
})

describe('timeline', () => {
  it('starts everybody in the slot that is free first', () => {
    const timeline = new Timeline([300, 100])
    expect([50, 400, 10, 10].map((runMs) => timeline.start(runMs))).toEqual([100, 150, 300, 310])
    expect(new Timeline([300, 100]).startAfter(600)).toBe(500)
  })

  it('knows no time without a slot', () => {
    expect(new Timeline([]).start(5)).toBe(Infinity)
    expect(new Timeline([]).startAfter(5)).toBe(Infinity)
  })
})

describe('answer lengths', () => {
  const learnt = (...lengths: number[]): AnswerLengths => {
    const known = new AnswerLengths(128)
    for (const length of lengths) known.learn(length)
    return known
  }

  it('cuts only the long ones by a bound', () => {
    expect(learnt(10, 20, 60).expected(30)).toBe(20)
    expect(learnt(10, 20, 60).expected(1_000)).toBe(30)
    expect(new AnswerLengths(128).expected(1_000)).toBe(128)
  })

  it('expects of one that has run for long what the long ones took', () => {
    const known = learnt(10, 20, 60)
    expect(known.remaining(0, 1_000, 0.5)).toBe(20)
    expect(known.remaining(15, 1_000, 0)).toBe(5)
    expect(known.remaining(15, 1_000, 0.5)).toBe(45)
    expect(known.remaining(20, 50, 0.5)).toBe(30)
    // Longer than any: not about to end any moment, and never beyond its bound.
    expect(known.remaining(70, 1_000, 0.5)).toBe(3)
    expect(known.remaining(70, 71, 0.5)).toBe(1)
    expect(known.remaining(71, 71, 0.5)).toBe(0)
  })

  it('takes an answer that was cut for the longer one it would have been', () => {
    const known = learnt(10, 100, 200)
    known.learn(50, true)
    expect(known.expected(10_000)).toBe((10 + 100 + 200 + 150) / 4)
  })

  it('follows the latest sixty-four', () => {
    expect(learnt(...Array.from({ length: 200 }, (_, at) => (at < 130 ? 1_000 : 10))).expected(9_999)).toBe(
      10,
    )
  })
})
