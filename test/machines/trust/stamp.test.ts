import { expect, it } from 'vitest'
import { isStampEnough, leadingZeroBits } from '../../../machines/trust/stamp.ts'

it.each([
  [[0xff], 0],
  [[0x80, 0], 0],
  [[0x7f], 1],
  [[0x01, 0], 7],
  [[0, 0xff], 8],
  [[0, 0, 0x10], 19],
  [[0, 0, 0], 24],
  [[], 0],
])('counts the zero bits in front of %j: %d', (hash, bits) => {
  expect(leadingZeroBits(Uint8Array.from(hash))).toBe(bits)
})

it('takes a hash with as many bits as asked for, or more', () => {
  const hash = Uint8Array.from([0, 0x10, 0xff])
  expect(isStampEnough(hash, 11)).toBe(true)
  expect(isStampEnough(hash, 12)).toBe(false)
  expect(isStampEnough(hash, 0)).toBe(true)
  expect(isStampEnough(new Uint8Array(), 1)).toBe(false)
})
