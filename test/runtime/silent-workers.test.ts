import { expect, it } from 'vitest'
import { SilentWorkers } from '../../runtime/silent-workers.ts'

it('a worker that fell silent is left out until it says anything, and asked meanwhile', () => {
  const signs = {
    heardAtMs: 100,
    silenceMsMax: 150,
    pings: 0,
    ping: () => void signs.pings++,
    sample: () => {},
  }
  const connected = new Set(['a'])
  const silent = new SilentWorkers((workerId) => (connected.has(workerId) ? signs : null))
  silent.left('a', 300)
  silent.left('not connected', 300)
  expect(silent.list()).toStrictEqual(['a'])
  expect(signs.pings).toBe(1)
  signs.heardAtMs = 400
  expect(silent.list()).toStrictEqual([])
  silent.left('a', 500)
  connected.delete('a')
  expect(silent.list()).toStrictEqual([])
})
