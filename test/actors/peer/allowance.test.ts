import { expect, test } from 'vitest'
import { Allowance } from '../../../actors/peer/allowance.ts'

test('gives the burst, then the rate, and never saves more than the burst', () => {
  const allowance = new Allowance(3, 10, 0)
  expect([1, 2, 3, 4].map(() => allowance.spend(0))).toEqual([true, true, true, false])
  expect(allowance.spend(99)).toBe(false)
  expect(allowance.spend(100)).toBe(true)
  expect([1, 2, 3, 4].map(() => allowance.spend(1e9))).toEqual([true, true, true, false])
})

test('takes what it costs or nothing', () => {
  const allowance = new Allowance(10, 10, 0)
  expect([6, 5, 4, 1].map((cost) => allowance.spend(0, cost))).toEqual([true, false, true, false])
})

test('a clock that goes back gives nothing away', () => {
  const allowance = new Allowance(1, 10, 1_000)
  expect(allowance.spend(1_000)).toBe(true)
  expect(allowance.spend(0)).toBe(false)
  expect(allowance.spend(1_050)).toBe(false)
  expect(allowance.spend(1_100)).toBe(true)
})
