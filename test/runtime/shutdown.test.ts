import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { listenForShutdown, type ShutdownOptions } from '../../runtime/shutdown.ts'

function listen(options: Partial<ShutdownOptions>) {
  const exits: number[] = []
  const failures: string[] = []
  const shutdown = listenForShutdown({
    stop: () => Promise.resolve(),
    deadlineMs: 10_000,
    exit: (code) => exits.push(code),
    onFailure: ({ message }) => failures.push(message),
    ...options,
  })
  onTestFinished(() => shutdown.dispose())
  return { shutdown, exits, failures }
}

// Delivered to the listeners only: a real signal would reach the test runner too.
const signal = (name: NodeJS.Signals): boolean => process.emit(name, name)
const never = (): Promise<void> => new Promise(() => undefined)

describe('a shutdown', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('stops in order after %s and ends with 0', async (name) => {
    const stop = vi.fn<ShutdownOptions['stop']>(() => Promise.resolve())
    const { shutdown, exits } = listen({ stop })
    signal(name)
    expect(await shutdown.stopped).toBe(0)
    expect(stop).toHaveBeenCalledExactlyOnceWith(name)
    expect(exits).toEqual([])
  })

  it('is forced by a second signal', () => {
    const { exits } = listen({ stop: never })
    signal('SIGTERM')
    expect(exits).toEqual([])
    signal('SIGINT')
    expect(exits).toEqual([130])
    signal('SIGTERM')
    expect(exits).toEqual([130, 143])
  })

  it('that takes too long ends with 1', () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { exits, failures } = listen({ stop: never, deadlineMs: 500 })
    signal('SIGTERM')
    vi.advanceTimersByTime(499)
    expect(exits).toEqual([])
    vi.advanceTimersByTime(1)
    expect(exits).toEqual([1])
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
