import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limits, protocolVersion, type ErrorCode } from '../../../protocol/index.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { standingTerms } from '../../../machines/selection/standing.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { codesOf } from './bounds.ts'
import { runs } from './runs.ts'
import { llama, toStatus, toWorkerId } from './support.ts'

const worker = toWorkerId(0)
const hello = { models: [llama], protocol: protocolVersion, local: false }

interface Illness {
  readonly codes: readonly [ErrorCode, ...ErrorCode[]]
  /** Milliseconds from one look to the next, and looks. */
  readonly everyMs: number
  readonly looks: number
  readonly burst: number
  readonly afterMs: number
  readonly retryAfterMs: number
  readonly leaves: boolean
}

const illness: fc.Arbitrary<Illness> = fc.record({
  codes: fc.constantFrom(codesOf.failure, codesOf.refusal, codesOf.verdict, codesOf.mixed),
  everyMs: fc.constantFrom(1, 90, 700, 4_000),
  looks: fc.integer({ min: 1, max: 120 }),
  burst: fc.constantFrom(1, 5, 80),
  afterMs: fc.constantFrom(0, 40, 3_000),
  retryAfterMs: fc.constantFrom(0, 0, 1e9),
  leaves: fc.boolean(),
})

/** The client's only worker, first ill, then well, again and again. */
class Patient {
  readonly #directory = new WorkerDirectory()
  readonly #random: () => number
  #nowMs = 0

  constructor(seed: number) {
    this.#random = createRandom(seed)
    this.#directory.hello(worker, hello, 0)
    this.#idle()
  }

  #idle(): void {
    this.#directory.status(worker, toStatus({ slots: 100, queueCapacity: 100 }), this.#nowMs)
  }

  isChosen(): boolean {
    const seed = Math.floor(this.#random() * 2 ** 32)
    return this.#directory.choose({ exclude: new Set() }, seed, this.#nowMs).workerId !== null
  }

  /** Turns everything down for a while; milliseconds from the first bad news to the last. */
  suffer({ codes, everyMs, looks, burst, afterMs, retryAfterMs, leaves }: Illness): number {
    const open: number[] = []
    let firstMs = Infinity
    const end = (sentBeforeMs: number): void => {
      while (open.length > 0 && (open[0] ?? 0) <= sentBeforeMs) {
        open.shift()
        firstMs = Math.min(firstMs, this.#nowMs)
        const code = codes[Math.floor(this.#random() * codes.length)] ?? codes[0]
        this.#directory.failed(worker, code, this.#nowMs, retryAfterMs)
      }
    }
    for (let look = 0; look < looks; look++) {
      this.#nowMs += everyMs
      end(this.#nowMs - afterMs)
      this.#idle()
      for (let request = 0; request < burst && this.isChosen(); request++) {
        this.#directory.started(worker, this.#nowMs)
        open.push(this.#nowMs)
      }
    }
    if (leaves) this.#directory.remove(worker, this.#nowMs)
    this.#nowMs += afterMs
    end(this.#nowMs)
    if (leaves) this.#directory.hello(worker, hello, this.#nowMs)
    this.#idle()
    return Math.max(0, this.#nowMs - firstMs)
  }

  /** Milliseconds until it is asked, rounded up to a hundred; it answers. */
  recover(): number {
    const fromMs = this.#nowMs
    while (!this.isChosen() && this.#nowMs - fromMs < 3_600_000) this.#nowMs += 100
    this.#directory.started(worker, this.#nowMs)
    this.#directory.finished(worker, { tokens: 20, ms: 400 }, this.#nowMs)
    return this.#nowMs - fromMs
  }

  /** Requests that it may have open at once. */
  openMax(): number {
    let open = 0
    for (; open <= limits.requestsPerPeerMax && this.isChosen(); open++) {
      this.#directory.started(worker, this.#nowMs)
    }
    for (let one = 0; one < open; one++) this.#directory.cancelled(worker)
    return open
  }
}

describe('a worker that is well again', () => {
  /**
   * Every wait is as long as all before it together and the first once more, because waits double. So the last one is
   * no longer than the illness was and one first wait; and it has a longest. What the worker itself asked for has one, too.
   */
  it('is asked again after no longer than it was ill and five seconds, and one answer clears all', () => {
    const { openMs, pauseMs, verdictPauseMs } = standingTerms
    fc.assert(
      fc.property(fc.integer(), fc.array(illness, { minLength: 1, maxLength: 3 }), (seed, illnesses) => {
        const patient = new Patient(seed)
        for (const one of illnesses) {
          const illMs = patient.suffer(one)
          const doubledMs = Math.min(illMs + openMs.first, openMs.max)
          const askedForMs = Math.min(one.retryAfterMs, pauseMs.max)
          expect(patient.recover()).toBeLessThanOrEqual(Math.max(doubledMs, askedForMs, verdictPauseMs) + 100)
          expect(patient.openMax()).toBe(limits.requestsPerPeerMax)
        }
      }),
      { numRuns: runs(200) },
    )
  })
})
