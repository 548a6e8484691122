import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createProgressDisplay } from '../../bin/pull-progress.ts'

let said = ''

beforeEach(() => {
  said = ''
  vi.useFakeTimers()
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text)
    return true
  })
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const progress = { id: 'tiny', doneBytes: 0, bytesPerSecond: 0 }

it('says within a second that somebody is looked for who knows the model', () => {
  const display = createProgressDisplay('no-such-model')
  display.show({ ...progress, stage: 'resolving' })
  vi.advanceTimersByTime(1_000)
  display.stop()
  expect(said).toBe('no-such-model: looking for somebody who knows it\n')
})

it('says nothing of it when one was found at once', () => {
  const display = createProgressDisplay('tiny')
  display.show({ ...progress, stage: 'waiting' })
  vi.advanceTimersByTime(5_000)
  display.stop()
  expect(said).toBe('')
})
