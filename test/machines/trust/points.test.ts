import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toEvidence } from '../../../machines/trust/evidence.ts'
import { ONE } from '../../../machines/trust/fixed.ts'
import {
  countedTokens,
  toBurn,
  toDue,
  toPaidPrice,
  toPoints,
  toPrice,
} from '../../../machines/trust/points.ts'
import { toOpaqueHash } from '../../../protocol/index.ts'
import { createReceipt, params } from './receipt-rig.ts'
import type { ReceiptSpec } from './receipt-rig.ts'

const pointsOf = (spec: ReceiptSpec) => toPoints(createReceipt(spec), params)
const evidenceOf = (spec: ReceiptSpec) => toEvidence(createReceipt(spec), params)

describe('speed', () => {
  it.each([
    [1_000, 5],
    [1_001, 4],
    [2_000, 4],
    [2_001, 3],
    [5_000, 3],
    [10_000, 2],
    [20_000, 1],
    [20_001, 0],
  ])('of %d ms is %d', (totalMs, speed) => {
    expect(pointsOf({ totalMs }).speed).toBe(speed)
  })

  it('goes by the slower clock, and marks clocks that are far apart', () => {
    expect(pointsOf({ totalMs: 900, clientMs: 1_650 })).toMatchObject({ speed: 4, skewed: false })
    expect(pointsOf({ totalMs: 900, clientMs: 1_651 })).toMatchObject({ speed: 4, skewed: true })
    expect(pointsOf({ totalMs: 9_000, clientMs: 12_000 })).toMatchObject({ speed: 1, skewed: false })
    expect(pointsOf({ totalMs: 8_999, clientMs: 12_000 })).toMatchObject({ speed: 1, skewed: true })
    expect(pointsOf({ totalMs: 6_000, clientMs: 100 })).toMatchObject({ speed: 2, skewed: true })
  })

  it('does not listen to a tick, whose time is not that of the end', () => {
    expect(pointsOf({ ack: 'tick', totalMs: 900, clientMs: 60_000 })).toMatchObject({
      speed: 5,
      skewed: false,
    })
  })
})

describe('complexity', () => {
  it.each([
    [49, 0],
    [50, 1],
    [149, 2],
    [150, 3],
    [100_000, 3],
  ])('of a prompt of %d tokens is %d', (nIn, complexity) => {
    expect(pointsOf({ nIn }).complexity).toBe(complexity)
  })
})

describe('quality', () => {
  it.each<[string, ReceiptSpec, number]>([
    ['a long answer', { nOut: 64 }, 2],
    ['a short one that was cut', { nOut: 63 }, 1],
    ['all that was asked for', { nOut: 20, maxOut: 20 }, 2],
    ['one that ended by itself', { nOut: 8, finish: 'stop' }, 2],
    ['one that ended by itself too soon', { nOut: 7, finish: 'stop-string' }, 1],
    ['one that the worker broke off', { nOut: 200, finish: 'partial' }, 0],
    ['one that the client closed', { nOut: 30, finish: 'partial', ack: 'closing' }, 1],
    ['a long one that the client closed', { nOut: 80, finish: 'partial', ack: 'closing' }, 2],
    ['one of which only a little arrived', { nOut: 80, received: 10, finish: 'stop', ack: 'closing' }, 2],
    ['one of which too little arrived', { nOut: 80, received: 7, finish: 'stop', ack: 'closing' }, 1],
  ])('of %s', (_, spec, quality) => {
    expect(pointsOf(spec).quality).toBe(quality)
  })
})

describe('tokens that count', () => {
  it.each<[string, ReceiptSpec, number]>([
    ['a final acknowledgement', { nOut: 500, ack: 'final' }, 500],
    ['a closing one', { nOut: 500, ack: 'closing', received: 192 }, 192],
    ['a closing one of more than there is', { nOut: 5, ack: 'closing', received: 192 }, 5],
    ['a tick', { nOut: 500, ack: 'tick', received: 192 }, 320],
    ['a tick near the end', { nOut: 200, ack: 'tick', received: 192 }, 200],
    ['no word', { nOut: 500, ack: 'none' }, 128],
  ])('with %s', (_, spec, tokens) => {
    expect(countedTokens(createReceipt(spec), params)).toBe(tokens)
  })

  it('are worth nothing when there are none, however fast', () => {
    const nothing = { speed: 0, complexity: 0, quality: 0, skewed: false }
    expect(pointsOf({ nOut: 0, finish: 'stop' })).toEqual(nothing)
    expect(pointsOf({ nOut: 100, ack: 'closing', received: 0 })).toEqual(nothing)
  })

  it('are what is paid for, at the price stated or less', () => {
    expect(toDue(createReceipt({ nIn: 100, nOut: 500 }), params)).toBe(9_000)
    expect(toDue(createReceipt({ nIn: 100, nOut: 500, ack: 'none' }), params)).toBe(3_000)
    expect(toDue(createReceipt({ nIn: 100, nOut: 500, ack: 'closing', received: 1 }), params)).toBe(2_000)
    expect(toDue(createReceipt({ nIn: 100, nOut: 500, price: 700 }), params)).toBe(700)
  })
})

describe('price', () => {
  it.each([
    [0, 0, 0],
    [1, 1, 2_000],
    [256, 64, 2_000],
    [257, 65, 4_000],
    [16_777_216, 32_768, 66_048_000],
  ])('of %d and %d tokens is %d', (nIn, nOut, price) => {
    expect(toPrice(nIn, nOut, params)).toBe(price)
  })

  it('burns a twentieth, at least a little, and nothing of nothing', () => {
    expect([0, 1, 200, 219, 220, 3_000].map((price) => toBurn(price, params))).toEqual([
      0, 10, 10, 10, 11, 150,
    ])
  })

  it('can be read back from an amount, and is the most that fits where none does exactly', () => {
    const prices = fc.oneof(fc.nat(1_000), fc.nat(1_000_000_000))
    fc.assert(
      fc.property(prices, (price) => {
        expect(toPaidPrice(price + toBurn(price, params), params)).toBe(price)
      }),
    )
    fc.assert(
      fc.property(prices, (amount) => {
        const price = toPaidPrice(amount, params)
        expect(price + toBurn(price, params)).toBeLessThanOrEqual(amount)
        expect(price + 1 + toBurn(price + 1, params)).toBeGreaterThan(amount)
      }),
    )
  })
})

describe('the weight of evidence', () => {
  it.each<[string, ReceiptSpec, number]>([
    ['full', {}, ONE],
    ['private', { private: true }, ONE / 4],
    ['not auditable', { auditable: false }, ONE / 4],
    ['of an opaque model', { modelHash: toOpaqueHash('openai', 'x') }, ONE / 4],
    ['sampled by others', { samplingId: 2 }, ONE / 2],
    ['seeded', { samplingId: 1 }, ONE],
    ['on the line', { balanceAfter: -1 }, ONE / 4],
    ['gratis', { gratis: true }, ONE / 16],
    ['half', { ack: 'tick' }, ONE / 4],
    ['closed', { ack: 'closing' }, ONE],
    ['half, gratis, private', { ack: 'none', gratis: true, private: true }, ONE / 256],
  ])('of a receipt that is %s', (_, spec, weightQ) => {
    expect(evidenceOf(spec)).toMatchObject({ weightQ, valueQ: 9 * weightQ })
  })

  it('is not that of funded work when little or nothing was paid', () => {
    expect(evidenceOf({ price: 0 })).toMatchObject({ funding: 'gratis', weightQ: ONE / 16 })
    expect(evidenceOf({ price: 1 })).toMatchObject({ funding: 'unfunded', weightQ: ONE / 4 })
    expect(evidenceOf({ price: 1_999 }).funding).toBe('unfunded')
    expect(evidenceOf({ price: 2_000 }).funding).toBe('funded')
  })

  it('is that of funded work when the end of a long answer was a gift', () => {
    const covered = toPrice(100, 256, params)
    expect(evidenceOf({ nOut: 400, price: covered }).funding).toBe('funded')
    expect(evidenceOf({ nOut: 400, price: covered - 1 }).funding).toBe('unfunded')
  })

  it.each<[string, ReceiptSpec, boolean]>([
    ['full', {}, true],
    ['private', { private: true }, false],
    ['not auditable', { auditable: false }, false],
    ['of an opaque model', { modelHash: toOpaqueHash('openai', 'x') }, false],
    ['on the line', { balanceAfter: -1 }, false],
    ['gratis', { gratis: true }, false],
    ['half', { ack: 'tick' }, false],
    ['empty', { nOut: 0 }, false],
  ])('lets a receipt that is %s count for achievements or not', (_, spec, isSound) => {
    expect(evidenceOf(spec).isSound).toBe(isSound)
  })
})
