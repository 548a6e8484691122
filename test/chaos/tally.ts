import { watchTimers } from './timers.ts'
import type { RoundReport } from './round.ts'

interface Sample {
  readonly round: number
  readonly heapMb: number
  readonly rssMb: number
  /** Those that last. */
  readonly timers: number
}

/** More than this in a hundred rounds is a leak: one timer in ten rounds, or a kilobyte or two for each stream. */
const slopeMaxPer100Rounds = { heapMb: 0.5, rssMb: 5, timers: 10 } as const
/** Caches that fill, and the garbage collector's own mind, are less than this in all. */
const noise = { heapMb: 4, rssMb: 40, timers: 10 } as const
type Measure = keyof typeof noise
const measures: readonly Measure[] = ['heapMb', 'rssMb', 'timers']

/** Adds up rounds. */
export class Tally {
  failed = 0
  /** Times that not every worker had been found a minute after a round; enough for a round were there. */
  late = 0
  #rounds = 0
  #streams = 0
  #handovers = 0
  #whole = 0
  #equal = 0
  #compared = 0
  readonly #gapsMs: number[] = []
  readonly #faults = new Map<string, { count: number; gapsMs: number[] }>()
  readonly #errors = new Map<string, number>()
  readonly #failing: { seed: number; failures: readonly string[] }[] = []
  readonly #samples: Sample[] = []
  readonly #timers = watchTimers()

  add({ plan, failures, streams, happened }: RoundReport): void {
    this.#rounds++
    if (failures.length > 0) {
      this.failed++
      this.#failing.push({ seed: plan.seed, failures })
    }
    for (const kind of happened) {
      const seen = this.#faults.get(kind) ?? { count: 0, gapsMs: [] }
      seen.count++
      // With several faults in one round nobody can tell which gap is whose.
      if (happened.length === 1) seen.gapsMs.push(...streams.flatMap(({ gapsMs }) => gapsMs))
      this.#faults.set(kind, seen)
    }
    for (const { outcome, code, gapsMs, isEqual } of streams) {
      this.#streams++
      this.#handovers += gapsMs.length
      this.#gapsMs.push(...gapsMs)
      if (outcome === 'whole') this.#whole++
      if (code !== undefined) this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1)
      if (isEqual === undefined) continue
      this.#compared++
      if (isEqual) this.#equal++
    }
  }

  /** What this process holds, between two rounds. */
  sample(): void {
    globalThis.gc?.()
    const { heapUsed, rss } = process.memoryUsage()
    this.#samples.push({
      round: this.#rounds,
      heapMb: heapUsed / 2 ** 20,
      rssMb: rss / 2 ** 20,
      timers: this.#timers(),
    })
  }

  /** What grew with the rounds, faster and by more than can be noise. */
  leaks(): string[] {
    const { rounds, per100 } = this.#slopes()
    return measures.flatMap((measure) => {
      const slope = per100[measure] ?? 0
      const isLeak = slope > slopeMaxPer100Rounds[measure] && (slope * rounds) / 100 > noise[measure]
      return isLeak ? [`${measure} grew by ${slope} in a hundred rounds, over ${rounds} rounds`] : []
    })
  }

  line(): string {
    const latest = this.#samples.at(-1)
    const held = latest
      ? `; ${latest.heapMb.toFixed(1)} MB heap, ${latest.rssMb.toFixed(0)} MB resident, ${latest.timers} timers`
      : ''
    return (
      `${this.failed} failed; ${this.#streams} streams, ${this.#whole} whole, ${this.#handovers} handovers, ` +
      `${this.#equal} of ${this.#compared} equal; gap p50 ${percentile(this.#gapsMs, 0.5)} ms, ` +
      `p99 ${percentile(this.#gapsMs, 0.99)} ms${held}`
    )
  }

  summary() {
    const faults = [...this.#faults].toSorted(([one], [other]) => one.localeCompare(other))
    return {
      rounds: this.#rounds,
      failed: this.failed,
      late: this.late,
      failing: this.#failing,
      streams: this.#streams,
      whole: this.#whole,
      errors: Object.fromEntries(this.#errors),
      compared: this.#compared,
      equal: this.#equal,
      handovers: this.#handovers,
      gapMs: toPercentiles(this.#gapsMs),
      faults: Object.fromEntries(
        faults.map(([kind, { count, gapsMs }]) => [kind, { count, gapMs: toPercentiles(gapsMs) }]),
      ),
      slopePer100Rounds: this.#slopes().per100,
      leaks: this.leaks(),
      samples: this.#samples,
    }
  }

  /** Over the later four fifths: the first rounds fill caches. */
  #slopes(): { readonly rounds: number; readonly per100: Readonly<Record<Measure, number | null>> } {
    const samples = this.#samples.slice(Math.floor(this.#samples.length / 5))
    const rounds = (samples.at(-1)?.round ?? 0) - (samples[0]?.round ?? 0)
    const of = (measure: Measure) => slope(samples, (sample) => sample[measure])
    return { rounds, per100: { heapMb: of('heapMb'), rssMb: of('rssMb'), timers: of('timers') } }
  }
}

const toPercentiles = (values: readonly number[]) => ({
  count: values.length,
  p50: percentile(values, 0.5),
  p99: percentile(values, 0.99),
})

function percentile(values: readonly number[], part: number): number | null {
  const sorted = values.toSorted((one, other) => one - other)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
  return value === undefined ? null : Math.round(value)
}

/** Least squares, by a hundred rounds; too few samples have none. */
function slope(samples: readonly Sample[], of: (sample: Sample) => number): number | null {
  if (samples.length < 3) return null
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [samples.map(({ round }) => round), samples.map(of)]
  const [meanX, meanY] = [mean(x), mean(y)]
  const spread = x.reduce((sum, value) => sum + (value - meanX) ** 2, 0)
  const joint = x.reduce((sum, value, index) => sum + (value - meanX) * ((y[index] ?? 0) - meanY), 0)
  return Number(((100 * joint) / spread).toFixed(3))
}
