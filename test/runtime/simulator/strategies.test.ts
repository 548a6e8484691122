import { describe, expect, test } from 'vitest'
import { createRealNotary } from '../../../runtime/simulator/notary.ts'
import { nodeStrategies, provableStrategies } from '../../../runtime/simulator/options.ts'
import { resultOf, runSmall } from './simulate-small.ts'

describe('a simulated mesh', () => {
  test.each(nodeStrategies)(
    'agrees in spite of %s, and bans whom it can prove it and nobody else',
    async (strategy) => {
      const result = await runSmall({ strategies: [strategy] })
      expect(result).toMatchObject({ isScoreEqual: true, honestBanned: 0 })
      expect(result.roundsToEqual).toBeLessThanOrEqual(8)
      const { nodes, guilty, found, roundsToLastBan, linksLeft } = resultOf(result, strategy)
      expect(nodes).toBe(6)
      if (strategy === 'flooding') expect(linksLeft).toBe(0)
      if (!provableStrategies.includes(strategy)) return
      expect(guilty).toBe(6)
      expect(found).toBe(guilty)
      expect(roundsToLastBan).toBeLessThanOrEqual(6)
    },
  )

  test('agrees by rounds alone, with a third that answers nobody', async () => {
    const result = await runSmall({ strategies: ['black-holes'], isEager: false })
    expect(result.roundsToEqual).toBeGreaterThan(1)
    expect(result.roundsToEqual).toBeLessThanOrEqual(8)
  })

  test.each([1, 2, 3])(
    'agrees among a hundred by rounds alone, thirty of them silent (seed %i)',
    async (seed) => {
      const result = await runSmall({ nodes: 100, strategies: ['black-holes'], isEager: false, seed })
      expect(result).toMatchObject({ isScoreEqual: true, honestBanned: 0 })
      expect(result.roundsToEqual).toBeLessThanOrEqual(8)
    },
  )

  test('agrees when two halves that dealt apart meet again', async () => {
    const result = await runSmall({ strategies: ['black-holes'], isSplit: true, epochs: 10 })
    expect(result).toMatchObject({ isScoreEqual: true, honestBanned: 0 })
    expect(result.roundsToEqual).toBeLessThanOrEqual(8)
  })

  test('agrees when nodes come and go', async () => {
    const result = await runSmall({ strategies: ['black-holes'], churn: 0.2, epochs: 10 })
    expect(result).toMatchObject({ isScoreEqual: true, honestBanned: 0 })
    expect(result.roundsToEqual).toBeLessThanOrEqual(8)
  })

  test('agrees when most nodes have no account', async () => {
    const result = await runSmall({ nodes: 80, accountsMax: 20, strategies: nodeStrategies })
    expect(result).toMatchObject({ accounts: 20, isScoreEqual: true, honestBanned: 0 })
    for (const { strategy, guilty, found } of result.strategies)
      if (provableStrategies.includes(strategy)) expect(found).toBe(guilty)
  })

  test('finds the same cheats by real signatures', async () => {
    const result = await runSmall({ nodes: 10, strategies: provableStrategies, notary: createRealNotary() })
    expect(result).toMatchObject({ isScoreEqual: true, honestBanned: 0 })
    for (const { guilty, found } of result.strategies) expect(found).toBe(guilty)
  })
})
