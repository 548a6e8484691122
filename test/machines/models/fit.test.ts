import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contextSteps, estimateNeeds, fitModel } from '../../../machines/models/fit.ts'
import { sampleManifest } from '../../protocol/models/samples.ts'

const { facts } = sampleManifest()

describe('whether a model fits', () => {
  it('is the longest context that leaves a tenth of the memory free', () => {
    const needs = [512, 1_024, 2_048].map((contextTokens) => ({ contextTokens, bytes: 100 + contextTokens }))
    expect(fitModel(needs, 1_300)).toMatchObject({ fits: true, contextTokens: 1_024, needBytes: 1_124 })
    expect(fitModel(needs, 1_248)).toMatchObject({ fits: true, contextTokens: 512, availableBytes: 1_123 })
    expect(fitModel(needs, 600)).toMatchObject({ fits: false, contextTokens: 0, needBytes: 612 })
    expect(fitModel([], 600)).toMatchObject({ fits: false, needBytes: 0 })
  })

  it('never grows when memory shrinks', () => {
    const needs = estimateNeeds(facts, null)
    fc.assert(
      fc.property(fc.nat(2 ** 31), fc.nat(2 ** 31), (a, b) => {
        const [less, more] = [fitModel(needs, Math.min(a, b)), fitModel(needs, Math.max(a, b))]
        expect(less.contextTokens).toBeLessThanOrEqual(more.contextTokens)
        if (less.fits) expect(more.fits).toBe(true)
      }),
    )
  })

  it('is asked for contexts from half a thousand tokens to what it was trained for', () => {
    expect(contextSteps(8_192)).toEqual([512, 1_024, 2_048, 4_096, 8_192])
    expect(contextSteps(3_000)).toEqual([512, 1_024, 2_048, 3_000])
    expect(contextSteps(512)).toEqual([512])
  })

  it('is estimated from the facts where the file is elsewhere', () => {
    const [shortest, ...others] = estimateNeeds(facts, null)
    // 1.24 billion parameters of Q4_K_M: a file of 0.8 GB.
    expect(shortest?.bytes).toBeGreaterThan(0.8e9)
    expect(shortest?.bytes).toBeLessThan(1.2e9)
    expect(others.at(-1)?.bytes).toBeGreaterThan(shortest?.bytes ?? 0)
    expect(estimateNeeds({ ...facts, parameters: null }, null)).toEqual([])
    expect(estimateNeeds({ ...facts, parameters: null }, 5e9)[0]?.bytes).toBeGreaterThan(5e9)
  })
})
