import { expect, it } from 'vitest'
import { decayTable } from '../../../machines/trust/decay-table.ts'

/**
 * n is round(65536 · 2^(-d/30)) exactly when 2n - 1 <= 2^17 · 2^(-d/30) < 2n + 1. The thirtieth power of that holds
 * integers only: (2n - 1)^30 <= 2^(510 - d) < (2n + 1)^30.
 */
it('holds the rounded power of every day from 0 to 180', () => {
  expect(decayTable).toHaveLength(181)
  for (const [day, weight] of decayTable.entries()) {
    const power = 2n ** BigInt(510 - day)
    const twice = 2n * BigInt(weight)
    expect((twice - 1n) ** 30n <= power && power < (twice + 1n) ** 30n, `day ${day}`).toBe(true)
  }
})

it('halves in thirty days', () => {
  expect([0, 30, 60, 90, 120, 150, 180].map((day) => decayTable[day])).toEqual([
    65_536, 32_768, 16_384, 8_192, 4_096, 2_048, 1_024,
  ])
})
