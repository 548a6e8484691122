import { describe, expect, it } from 'vitest'
import { toLayout } from '../../console/views/mesh/layout.ts'

describe('the picture of the mesh', () => {
  it.each([0, 1, 2, 3, 14, 15, 40, 120, 200])('has room for %i workers, wide and narrow', (count) => {
    for (const isNarrow of [false, true]) {
      const { spots, radius, centre, width, height } = toLayout(count, isNarrow)
      expect(spots).toHaveLength(count)
      for (const [index, { x, y }] of spots.entries()) {
        expect(x).toBeGreaterThan(radius)
        expect(x).toBeLessThan(width - radius)
        expect(y).toBeGreaterThan(radius)
        expect(y).toBeLessThan(height - radius)
        // Nobody hides behind another, or behind the node in the middle.
        expect(Math.hypot(x - centre.x, y - centre.y)).toBeGreaterThan(34 + radius)
        for (const other of spots.slice(0, index))
          expect(Math.hypot(x - other.x, y - other.y)).toBeGreaterThan(1.6 * radius)
      }
    }
  })

  it('is the same for the same number', () => {
    expect(toLayout(37, false)).toEqual(toLayout(37, false))
  })
})
