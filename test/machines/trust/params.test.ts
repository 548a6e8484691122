import { describe, expect, it } from 'vitest'
import { genesisParams, toNetworkId, toParamsBytes } from '../../../machines/trust/params.ts'
import type { TrustParams } from '../../../machines/trust/params.ts'

describe('the parameters of the first network', () => {
  it('cannot be changed by anybody who holds them', () => {
    expect(Object.isFrozen(genesisParams)).toBe(true)
    for (const value of Object.values(genesisParams)) expect(Object.isFrozen(value)).toBe(true)
  })

  it('are this network and no other: changing a number founds a new one', () => {
    expect(toNetworkId(genesisParams)).toMatchInlineSnapshot(`"a6ba54c855ed455ed487a25a38234980"`)
  })

  it('are all in the network id', () => {
    const ids = Object.entries(genesisParams).map(([name, value]) => {
      const other = Array.isArray(value) ? [...value, 1] : typeof value === 'number' ? value + 1 : 'daily'
      return toNetworkId({ ...genesisParams, [name]: other })
    })
    expect(new Set([toNetworkId(genesisParams), ...ids]).size).toBe(ids.length + 1)
  })
})

describe('toParamsBytes', () => {
  it('does not depend on the order in which the parameters were written', () => {
    const reversed = Object.fromEntries(Object.entries(genesisParams).toReversed()) as unknown as TrustParams
    expect(Buffer.from(toParamsBytes(reversed)).equals(toParamsBytes(genesisParams))).toBe(true)
  })

  it.each([0.5, Number.NaN, 2 ** 60, null, true, {}, ['text'], [[1]]])(
    'refuses %j, which has no one spelling',
    (value) => {
      const params = { ...genesisParams, burnPercent: value } as unknown as TrustParams
      expect(() => toParamsBytes(params)).toThrow(/burnPercent/)
    },
  )
})

describe('toNetworkId', () => {
  it('is 32 hex characters, and another for each mesh secret', () => {
    const ids = ['', 'a', 'b'].map((secret) => toNetworkId(genesisParams, secret))
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(new Set(ids).size).toBe(3)
    expect(ids[0]).toBe(toNetworkId(genesisParams))
  })
})
