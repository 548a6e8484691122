import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { listenForShutdown, type ShutdownOptions } from '../../runtime/shutdown.ts'

function listen(options: Partial<ShutdownOptions>) {
  const ends: string[] = []
  const failures: string[] = []
  const shutdown = listenForShutdown({
    stop: () => Promise.resolve(),
    deadlineMs: 10_000,
    end: (name) => ends.push(name),
    onFailure: ({ message }) => failures.push(message),
    ...options,
  })
  onTestFinished(() => shutdown.dispose())
  return { shutdown, ends, failures }
}

// Delivered to the listeners only: a real signal would reach the test runner too.
const signal = (name: NodeJS.Signals): boolean => process.emit(name, name)
const never = (): Promise<void> => new Promise(() => undefined)

describe('a shutdown', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('stops in order after %s and ends with 0', async (name) => {
    const stop = vi.fn<ShutdownOptions['stop']>(() => Promise.resolve())
    const { shutdown, ends } = listen({ stop })
    signal(name)
    expect(await shutdown.stopped).toBe(0)
    expect(stop).toHaveBeenCalledExactlyOnceWith(name)
    expect(ends).toEqual([])
  })

  it('is forced by a second signal', () => {
    const { ends } = listen({ stop: never })
    signal('SIGTERM')
    expect(ends).toEqual([])
    signal('SIGINT')
    expect(ends).toEqual(['SIGINT'])
    signal('SIGTERM')
    expect(ends).toEqual(['SIGINT', 'SIGTERM'])
  })

  it('that takes too long ends anyway', () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { ends, failures } = listen({ stop: never, deadlineMs: 500 })
    signal('SIGTERM')
    vi.advanceTimersByTime(499)
    expect(ends).toEqual([])
    vi.advanceTimersByTime(1)
    expect(ends).toEqual(['SIGTERM'])
    expect(failures).toEqual(['stopping took longer than 500 ms'])
  })

  it('that fails ends with 1 and says why', async () => {
    const { shutdown, failures } = listen({ stop: () => Promise.reject(new Error('no')) })
    signal('SIGINT')
    expect(await shutdown.stopped).toBe(1)
    expect(failures).toEqual(['no'])
  })

  it('leaves no listener behind', () => {
    const before = process.listenerCount('SIGINT')
    const { shutdown } = listen({})
    expect(process.listenerCount('SIGINT')).toBe(before + 1)
    shutdown.dispose()
    expect(process.listenerCount('SIGINT')).toBe(before)
  })
})
