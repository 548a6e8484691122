import { vi } from 'vitest'

/** Waits until an assertion holds, and answers what it answers. It may take a slow computer long; a fast one waits no longer. */
export const eventually = <Value>(assertion: () => Value | Promise<Value>): Promise<Value> =>
  vi.waitFor(assertion, { timeout: 20_000, interval: 20 })
