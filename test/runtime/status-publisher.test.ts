import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StatusPublisher } from '../../runtime/status-publisher.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('says the first change at once, those of the next second together, and nothing without a change', () => {
  const publish = vi.fn<() => void>()
  const publisher = new StatusPublisher(publish)
  publisher.changed()
  expect(publish).toHaveBeenCalledTimes(1)
  for (let change = 0; change < 100; change++) publisher.changed()
  expect(publish).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(1_000)
  expect(publish).toHaveBeenCalledTimes(2)
  vi.advanceTimersByTime(10_000)
  expect(publish).toHaveBeenCalledTimes(2)
})

test('flush does not wait, and after close nothing is said', () => {
  const publish = vi.fn<() => void>()
  const publisher = new StatusPublisher(publish)
  publisher.changed()
  publisher.flush()
  expect(publish).toHaveBeenCalledTimes(2)
  publisher.changed()
  publisher.close()
  vi.advanceTimersByTime(5_000)
  publisher.changed()
  publisher.flush()
  expect(publish).toHaveBeenCalledTimes(2)
})
