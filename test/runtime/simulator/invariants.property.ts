import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nodeStrategies } from '../../../runtime/simulator/options.ts'
import { runSmall } from './simulate-small.ts'

const world = {
  seed: fc.nat(),
  nodes: fc.integer({ min: 10, max: 16 }),
  epochs: fc.integer({ min: 4, max: 6 }),
  isEager: fc.boolean(),
}

test('credit is neither made nor lost but by burning, where everybody is honest', () =>
  fc.assert(
    fc.asyncProperty(fc.record(world), async (input) => {
      const result = await runSmall(input)
      expect(result).toMatchObject({ minted: 0, isScoreEqual: true, honestBanned: 0 })
      expect(result.roundsToEqual).not.toBeNull()
    }),
    { numRuns: 8 },
  ))

test('honest nodes agree and ban only cheats, whoever cheats', () =>
  fc.assert(
    fc.asyncProperty(
      fc.record({
        ...world,
        misbehaving: fc.double({ min: 0, max: 0.4, noNaN: true }),
        strategies: fc.subarray([...nodeStrategies], { minLength: 1 }),
        isSplit: fc.boolean(),
        churn: fc.constantFrom(0, 0.1),
      }),
      async (input) => {
        const result = await runSmall(input)
        expect(result).toMatchObject({ isScoreEqual: true, honestBanned: 0 })
        expect(result.roundsToEqual).not.toBeNull()
      },
    ),
    { numRuns: 8 },
  ))
