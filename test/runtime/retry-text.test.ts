import { expect, it } from 'vitest'
import { withoutRetry, withRetry } from '../../runtime/retry-text.ts'

it.each([
  [250, 'why; it is tried again in 1 s'],
  [60_000, 'why; it is tried again in 60 s'],
  [240_000, 'why; it is tried again in 4 min'],
])('after %d ms: %s, and back', (ms, text) => {
  expect(withRetry('why', ms)).toBe(text)
  expect(withoutRetry(text)).toBe('why')
})

it('leaves a message that says nothing of it', () => {
  expect(withoutRetry('why; and so on')).toBe('why; and so on')
})
