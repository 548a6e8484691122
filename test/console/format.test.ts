import { expect, it } from 'vitest'
import { toDuration, toPoints } from '../../console/ui/format.ts'
import { countOf } from '../../console/views/machines/format.ts'
import { toSafeValue } from '../../runtime/inspect/safe-value.ts'

it.each([
  [0.4, '0 ms'],
  [999.4, '999 ms'],
  [999.6, '1.0 s'],
  [9_949, '9.9 s'],
  [9_951, '10 s'],
  [59_400, '59 s'],
  [59_600, '1 min 0 s'],
  [119_600, '2 min 0 s'],
  [3_599_600, '1 h 0 min'],
  [5_400_000, '1 h 30 min'],
])('%d ms are %s', (ms, text) => {
  expect(toDuration(ms)).toBe(text)
})

it('nothing paid is 0 credits, not minus 0', () => {
  expect([-0, -0.001, -1.5, 1234.567].map(toPoints)).toEqual(['0', '0', '−1.5', '1,234.57'])
})

it('a context of many fields is said to have as many, however few of them are shown', () => {
  const record = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, index]))
  const shown = [record, Object.values(record).map((index) => ({ index })), { a: 1 }, []].map((value) =>
    Object.entries(toSafeValue(value) as object),
  )
  expect(shown.map((entries) => countOf(entries))).toEqual([1_000, 1_000, 1, 0])
})
