import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Watchdog } from '../../../actors/inference/llama/watchdog.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function createRig() {
  const state = { pulse: 0, allowanceMs: 400 as number | undefined }
  const onHung = vi.fn<() => void>()
  const watchdog = new Watchdog(
    { hangMs: 400, perPromptTokenMs: 0 },
    () => state.pulse,
    () => state.allowanceMs,
    onHung,
  )
  return { state, onHung, watchdog }
}

describe('the watchdog', () => {
  it('reports a standstill once, and not before its time', () => {
    const { onHung } = createRig()
    vi.advanceTimersByTime(400)
    expect(onHung).not.toHaveBeenCalled()
    vi.advanceTimersByTime(10_000)
    expect(onHung).toHaveBeenCalledTimes(1)
  })

  it('is patient while there is progress, however slow', () => {
    const { state, onHung } = createRig()
    for (let step = 0; step < 20; step++) {
      vi.advanceTimersByTime(390)
      state.pulse++
    }
    expect(onHung).not.toHaveBeenCalled()
  })

  it('leaves alone a thread without work, such as one whose readers do not read', () => {
    const { state, onHung } = createRig()
    state.allowanceMs = undefined
    vi.advanceTimersByTime(60_000)
    expect(onHung).not.toHaveBeenCalled()
    // The time without work does not count against the work that comes.
    state.allowanceMs = 400
    vi.advanceTimersByTime(350)
    expect(onHung).not.toHaveBeenCalled()
  })

  it('says nothing after it was stopped', () => {
    const { watchdog, onHung } = createRig()
    watchdog.stop()
    vi.advanceTimersByTime(60_000)
    expect(onHung).not.toHaveBeenCalled()
  })
})
