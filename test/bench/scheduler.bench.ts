import fastq from 'fastq'
import { Heap } from 'heap-js'
import { TieredQueue } from '../../machines/scheduling/tiered-queue.ts'
import { laneCount, waitStepMs } from '../../machines/scheduling/tiers.ts'
import { createRandom } from '../../machines/selection/random.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'

/** One arrival of the trace that all queues are fed with. */
interface Arrival {
  readonly waitMs: number
  readonly atMs: number
}

interface HeapEntry extends Arrival {
  readonly dueMs: number
  readonly order: number
}

const depths = [10, 1_000, 10_000, 100_000, 1_000_000]
const pairs = 400_000
const runs = 5

/** Clocks count milliseconds since 1970, and numbers of that size do not fit a small integer. */
const epochMs = 1.8e12

/** Ten arrivals a millisecond, every wait equally often. */
function trace(length: number): Arrival[] {
  const random = createRandom(length)
  return Array.from({ length }, (_, index) => ({
    waitMs: Math.floor(random() * laneCount) * waitStepMs,
    atMs: epochMs + index / 10,
  }))
}

/** Fills a queue to `depth`, then takes one and adds one, over and over. Pairs per second of the second part. */
function pairsPerSecond(
  arrivals: readonly Arrival[],
  depth: number,
  enqueue: (arrival: Arrival) => void,
  dequeue: () => unknown,
): number {
  for (let at = 0; at < depth; at++) enqueue(arrivals[at] as Arrival)
  const startedAt = performance.now()
  for (let at = depth; at < depth + pairs; at++) {
    dequeue()
    enqueue(arrivals[at] as Arrival)
  }
  return (pairs / (performance.now() - startedAt)) * 1_000
}

function ours(arrivals: readonly Arrival[], depth: number): number {
  const queue = new TieredQueue<Arrival>()
  return pairsPerSecond(
    arrivals,
    depth,
    (arrival) => queue.enqueue(arrival, arrival.waitMs, arrival.atMs),
    () => queue.dequeue(),
  )
}

function heap(arrivals: readonly Arrival[], depth: number): number {
  const queue = new Heap<HeapEntry>((a, b) => a.dueMs - b.dueMs || a.order - b.order)
  let order = 0
  return pairsPerSecond(
    arrivals,
    depth,
    ({ waitMs, atMs }) => queue.push({ waitMs, atMs, dueMs: atMs + waitMs, order: order++ }),
    () => queue.pop(),
  )
}

/** A plain FIFO of one running task: finishing it starts the next. It knows no scores, so it bounds what is possible. */
function fifo(arrivals: readonly Arrival[], depth: number): number {
  let finish: () => void = () => {}
  const queue = fastq<null, Arrival>((_arrival, done) => {
    finish = () => done(null)
  }, 1)
  const result = pairsPerSecond(
    arrivals,
    depth,
    (arrival) => queue.push(arrival),
    () => finish(),
  )
  queue.kill()
  return result
}

/** What a client who leaves or asks costs with so many waiting, half of whom have left already. Microseconds. */
function leavingUs(depth: number): { readonly remove: number; readonly ahead: number } {
  const queue = new TieredQueue<Arrival>()
  const random = createRandom(depth)
  const tickets = trace(depth).map((arrival) => queue.enqueue(arrival, arrival.waitMs, arrival.atMs))
  const shuffled = tickets.map((ticket) => ({ ticket, key: random() })).toSorted((a, b) => a.key - b.key)
  const half = depth >> 1
  const startedAt = performance.now()
  for (const { ticket } of shuffled.slice(0, half)) queue.remove(ticket)
  const removedAt = performance.now()
  let sum = 0
  for (const { ticket } of shuffled.slice(half)) sum += queue.aheadOf(ticket)
  const askedAt = performance.now()
  if (sum !== ((depth - half) * (depth - half - 1)) / 2) throw new Error('positions are not a permutation')
  return {
    remove: ((removedAt - startedAt) / half) * 1_000,
    ahead: ((askedAt - removedAt) / (depth - half)) * 1_000,
  }
}

/** Enqueue and dequeue at growing depth, against a heap by the same key and a FIFO on the same trace. */
export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const depth of depths) {
    const arrivals = trace(depth + pairs)
    const figures = Array.from({ length: runs }, () => ({
      ours: ours(arrivals, depth),
      heap: heap(arrivals, depth),
      fifo: fifo(arrivals, depth),
    }))
    const our = median(figures.map((figure) => figure.ours))
    for (const [name, key] of [
      ['heap-js', 'heap'],
      ['fastq', 'fifo'],
    ] as const) {
      const value = median(figures.map((figure) => figure[key]))
      rows.push({
        what: `enqueue + dequeue, ${depth.toLocaleString('en')} waiting`,
        ours: our,
        unit: '/s',
        peer: { name, value },
        ratio: our / value,
        ...(depth === 100_000 && key === 'heap' && { target: '≥ 1,000,000/s and ahead' }),
        ...(key === 'fifo' && { note: 'a FIFO without scores' }),
      })
    }
  }
  const leaving = Array.from({ length: runs }, () => leavingUs(100_000))
  rows.push(
    {
      what: 'leave from the middle, 100,000 waiting',
      ours: median(leaving.map(({ remove }) => remove)),
      unit: 'µs',
    },
    {
      what: 'exact position, 100,000 of whom half left',
      ours: median(leaving.map(({ ahead }) => ahead)),
      unit: 'µs',
    },
  )
  return rows
}
