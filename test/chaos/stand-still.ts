import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Measures how long the event loop of this process stands still: what a machine with too much to do does to it. */
export function watchStandStill(): () => number {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  return () => {
    const ms = Math.round(delay.max / 1e6)
    delay.reset()
    return ms
  }
}
