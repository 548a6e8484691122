import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findFork } from '../../../machines/trust/fork.ts'
import type { Head } from '../../../protocol/trust/index.ts'
import { accountOf, bytes } from './receipt-rig.ts'

/** A head of an account's true log, or of another branch. */
const headOf = (length: number, branch = 0): Head => ({
  accountId: accountOf(1),
  epoch: 1_000 + length,
  length,
  treeHash: bytes(1_000 * length + branch, 32),
  signature: bytes(length, 64),
})

const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 100 })

describe('the heads of one account', () => {
  it('of one log are no fork, whatever their order and repetition', () => {
    fc.assert(
      fc.property(lengths, (list) => {
        expect(findFork(list.map((length) => headOf(length)))).toBeUndefined()
      }),
    )
  })

  it('of equal length and two trees are found, whatever is between them, and always the same proof', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), lengths, fc.boolean(), (length, between, isSwapped) => {
        const [a, b] = [headOf(length), headOf(length, 1)]
        const others = between.filter((other) => other !== length).map((other) => headOf(other))
        expect(findFork(isSwapped ? [b, ...others, a] : [a, ...others, b])).toEqual({ kind: 'fork', a, b })
      }),
    )
  })
})
