/** Milliseconds after which a timer is no longer the time-out of one question to somebody. */
const lastingMs = 20_000

/** Counts the timers of this process that last, from those that are set after this call. */
export function watchTimers(): () => number {
  const since = new Map<NodeJS.Timeout, number>()
  const { setTimeout: once, setInterval: often, clearTimeout: clear } = globalThis
  const watched = (timer: NodeJS.Timeout): NodeJS.Timeout => {
    since.set(timer, performance.now())
    return timer
  }
  const setTimeoutWatched = <Args extends unknown[]>(
    callback: (...args: Args) => void,
    delayMs?: number,
    ...args: Args
  ): NodeJS.Timeout => {
    const timer = once(
      (...given: Args) => {
        since.delete(timer)
        callback(...given)
      },
      delayMs,
      ...args,
    )
    return watched(timer)
  }
  const setIntervalWatched = <Args extends unknown[]>(
    callback: (...args: Args) => void,
    delayMs?: number,
    ...args: Args
  ): NodeJS.Timeout => watched(often(callback, delayMs, ...args))
  const clearWatched = (timer?: NodeJS.Timeout | string | number): void => {
    if (typeof timer === 'object') since.delete(timer)
    clear(timer)
  }
  Object.assign(globalThis, {
    setTimeout: Object.assign(setTimeoutWatched, { ...once }),
    setInterval: setIntervalWatched,
    clearTimeout: clearWatched,
    clearInterval: clearWatched,
  })
  return () => {
    const now = performance.now()
    return [...since].filter(([timer, atMs]) => timer.hasRef() && now - atMs > lastingMs).length
  }
}
