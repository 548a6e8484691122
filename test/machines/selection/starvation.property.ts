import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judge } from '../../../machines/selection/standing.ts'
import { affinityExcess, busiestWindow, requestsMax, type Manner } from './bounds.ts'
import { requestsIn, runs } from './runs.ts'
import type { Sent, WorkerSpec } from './simulated-world.ts'
import { simulate } from './simulation.ts'
import { crowded, roomy } from './worlds.ts'

const windowsMs = [60_000, 600_000]

const timesOf = (sent: readonly Sent[], worker: number, client: number): number[] =>
  sent.filter((one) => one.worker === worker && one.client === client).map(({ atMs }) => atMs)

/** What a client that asks such a worker gets to see. */
function mannersOf({ letdown, leavesEveryMs }: WorkerSpec): Manner[] {
  if (letdown === undefined || letdown.afterMs === Infinity || judge(letdown.code) === 'failure')
    return ['failure']
  return leavesEveryMs === undefined ? ['refusal'] : ['refusal', 'failure']
}

describe('a mesh where workers come and go, and some let every request down', () => {
  /**
   * Whatever goes on around it, a worker that answers nothing only ever gets what its own standing with that client lets
   * through, so the bounds of one such worker alone hold. Load over what is left after somebody went is among the worlds:
   * how many are answered then is a matter of arrivals, and nothing is claimed of it.
   */
  it('bounds what each client gives to those, and keeps conversations within their bound', () => {
    fc.assert(
      fc.property(crowded(requestsIn(600, 50)), ({ good, world }) => {
        const { sent } = simulate(world)
        for (let worker = good; worker < world.workers.length; worker++) {
          for (let client = 0; client < world.clients; client++) {
            const timesMs = timesOf(sent, worker, client)
            for (const windowMs of windowsMs) {
              expect(busiestWindow(timesMs, windowMs)).toBeLessThanOrEqual(requestsMax('mixed', windowMs))
            }
          }
        }
        for (const { trace } of sent) {
          if (trace.manner === 'affinity') expect(affinityExcess(trace)).toBeLessThanOrEqual(0)
        }
      }),
      { numRuns: runs(12) },
    )
  })

  /**
   * The one who stays has never failed this client and has room, so nothing may keep it out: no look is in vain. It
   * answers whatever it gets, so only those who answer nothing can end a request. One of them is not enough for that,
   * and together they get so many requests in a window, however many are asked: the rest is answered.
   */
  it('starves no client that has somebody left: what is not answered has its bound, however much is asked', () => {
    fc.assert(
      fc.property(roomy(requestsIn(400, 50)), ({ good, each, world }) => {
        const { sent, failed, asked, answered, inVain } = simulate(world)
        expect(inVain.every((looks) => looks === 0)).toBe(true)
        for (let client = 0; client < world.clients; client++) {
          let letDown = 0
          for (const [place, spec] of world.workers.slice(good).entries()) {
            const worker = good + place
            const timesMs = timesOf(sent, worker, client)
            letDown += failed.filter((one) => one.client === client && one.worker === worker).length
            for (const windowMs of windowsMs) {
              const most = mannersOf(spec).reduce(
                (sum, manner) => sum + requestsMax(manner, windowMs, each),
                0,
              )
              expect(busiestWindow(timesMs, windowMs)).toBeLessThanOrEqual(most)
            }
          }
          const unanswered = (asked[client] ?? 0) - (answered[client] ?? 0)
          expect(2 * unanswered).toBeLessThanOrEqual(letDown)
        }
      }),
      { numRuns: runs(20) },
    )
  })
})
