import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  defaultStallPolicy as policy,
  firstTokenDelayMs,
  gapDelayMs,
  openingDelayMs,
  queuedDelayMs,
} from '../../../machines/request/index.ts'

const claim = fc.integer({ min: 0, max: 2 ** 31 })

test('whatever a worker claims, no timer falls below its floor or rises above the ceiling', () => {
  fc.assert(
    fc.property(claim, claim, (promptTokens, etaMs) => {
      const delays = [
        [openingDelayMs(policy, promptTokens), policy.openingMs],
        [queuedDelayMs(policy, etaMs), policy.queuedMs],
        [firstTokenDelayMs(policy, { promptTokens, etaMs }), policy.firstTokenMs],
        [gapDelayMs(policy, promptTokens, etaMs), policy.gapMs],
      ] as const
      for (const [delayMs, floorMs] of delays) {
        expect(delayMs).toBeGreaterThanOrEqual(floorMs)
        expect(delayMs).toBeLessThanOrEqual(policy.stallMsMax)
      }
    }),
  )
})

test('a longer prompt and a slower pace are given longer, never shorter', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.nat(10_000), fc.nat(1_000), (promptTokens, more, etaMs) => {
      const short = firstTokenDelayMs(policy, { promptTokens, etaMs })
      expect(firstTokenDelayMs(policy, { promptTokens: promptTokens + more, etaMs })).toBeGreaterThanOrEqual(
        short,
      )
      expect(openingDelayMs(policy, promptTokens + more)).toBeGreaterThanOrEqual(
        openingDelayMs(policy, promptTokens),
      )
      expect(gapDelayMs(policy, 100, etaMs + more)).toBeGreaterThanOrEqual(gapDelayMs(policy, 100, etaMs))
    }),
  )
})

test('the pace that was seen counts: a slow stream may pause longer than a fast one, and a first token is not a pace', () => {
  expect(gapDelayMs(policy, 1, 0)).toBe(policy.gapMs)
  expect(gapDelayMs(policy, 101, 1_000)).toBe(policy.gapMs)
  expect(gapDelayMs(policy, 11, 10_000)).toBe(50_000)
})
