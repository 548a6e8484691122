import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RateLimiter, take, tierRates, type Bucket } from '../../../machines/scheduling/token-bucket.ts'

describe('token bucket', () => {
  it('gives a burst, then the rate, and says when to come back', () => {
    const rate = { burst: 2, perSecond: 4 }
    const first = take(undefined, rate, 0)
    const second = first.ok ? take(first.bucket, rate, 0) : first
    const third = second.ok ? take(second.bucket, rate, 100) : second
    expect(third).toEqual({ ok: false, retryAfterMs: 150 })
    expect(second.ok && take(second.bucket, rate, 250).ok).toBe(true)
  })

  it('never gives more than burst + rate · time in any window, whatever the clock does', () => {
    const rate = { burst: 5, perSecond: 10 }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -2_000, max: 1_000 }), { maxLength: 200 }), (steps) => {
        let bucket: Bucket | undefined
        let nowMs = 0
        let latestMs = -Infinity
        let earliestMs = Infinity
        let given = 0
        for (const step of steps) {
          nowMs += step
          latestMs = Math.max(latestMs, nowMs)
          earliestMs = Math.min(earliestMs, nowMs)
          const taken = take(bucket, rate, nowMs)
          if (!taken.ok) continue
          bucket = taken.bucket
          given++
        }
        const spanMs = Math.max(0, latestMs - earliestMs)
        expect(given).toBeLessThanOrEqual(rate.burst + (spanMs / 1_000) * rate.perSecond + 1e-9)
      }),
    )
  })

  it('keeps clients and tiers apart, and more for higher tiers', () => {
    const limiter = new RateLimiter()
    const burst = (tier: 'bronze' | 'master'): number => {
      let count = 0
      while (limiter.take('client', tier, 0) === 0) count++
      return count
    }
    expect(burst('bronze')).toBe(tierRates.bronze.burst)
    expect(burst('master')).toBe(tierRates.master.burst)
    expect(limiter.take('other', 'bronze', 0)).toBe(0)
    expect(limiter.take('client', 'bronze', 0)).toBe(250)
  })
})
