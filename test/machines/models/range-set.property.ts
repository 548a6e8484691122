import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RangeSet } from '../../../machines/models/range-set.ts'

const total = 40
const change = fc.record({ isAdded: fc.boolean(), start: fc.nat(total), length: fc.nat(12) })

it('holds the same bytes as a list of bytes does', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.nat(total), fc.nat(12), (changes, from, length) => {
      const set = new RangeSet()
      const model = new Set<number>()
      for (const { isAdded, start, length } of changes) {
        const end = Math.min(total, start + length)
        if (isAdded) set.add(start, end)
        else set.remove(start, end)
        for (let byte = start; byte < end; byte++) {
          if (isAdded) model.add(byte)
          else model.delete(byte)
        }
      }
      const bytes = set.ranges.flatMap(({ start, end }) =>
        Array.from({ length: end - start }, (_, i) => start + i),
      )
      expect(bytes).toEqual([...model].toSorted((a, b) => a - b))
      expect(set.bytes).toBe(model.size)
      // In order, and none touches the next: the shortest way to say it.
      for (const [index, { start, end }] of set.ranges.entries()) {
        expect(start).toBeLessThan(end)
        expect(start).toBeGreaterThan(set.ranges[index - 1]?.end ?? -1)
      }
      const gone = set
        .missing(total)
        .flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))
      expect(gone).toEqual(
        Array.from({ length: total }, (_, byte) => byte).filter((byte) => !model.has(byte)),
      )
      const end = Math.min(total, from + length)
      const isThere = Array.from({ length: Math.max(0, end - from) }, (_, i) => from + i).every((byte) =>
        model.has(byte),
      )
      expect(set.has(from, end)).toBe(isThere)
      expect(new RangeSet(set.ranges).ranges).toEqual(set.ranges)
    }),
  )
})
