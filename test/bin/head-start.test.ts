import { expect, it } from 'vitest'
import { toWorth } from '../../bin/head-start.ts'

it.each([
  [0, 'waits like a newcomer'],
  [900, 'waits 0.9 s less than a newcomer'],
  [5_000, 'waits 5.0 s less than a newcomer'],
])('a head start of %d ms: %s', (headStartMs, text) => {
  expect(toWorth({ headStartMs })).toBe(text)
})
