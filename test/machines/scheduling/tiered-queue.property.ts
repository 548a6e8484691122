// The commands of a model assert, outside of any test block.
/* oxlint-disable vitest/no-standalone-expect, vitest/expect-expect */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TieredQueue, type Ticket } from '../../../machines/scheduling/tiered-queue.ts'
import {
  headStartMsMax,
  newcomer,
  tiers,
  waitStepMs,
  type Precedence,
  type Tier,
} from '../../../machines/scheduling/tiers.ts'
import { contributors, ofScore } from './contributors.ts'

const tier = fc.constantFrom(...tiers)

interface Waiting extends Precedence {
  readonly name: number
  readonly dueMs: number
}

/** The same queue as a list that is sorted again and again. */
interface Model {
  /** What the clock shows, which may jump back, and the latest it ever showed. */
  clockMs: number
  latestMs: number
  names: number
  waiting: Waiting[]
}

interface Real {
  readonly queue: TieredQueue<number>
  readonly tickets: Map<number, Ticket<number>>
}

const goesFirst = (a: Waiting, b: Waiting): number =>
  a.dueMs - b.dueMs || b.waitMs - a.waitMs || a.name - b.name

function compare(model: Model, { queue, tickets }: Real): void {
  const order = model.waiting.toSorted(goesFirst).map(({ name }) => name)
  const walked: number[] = []
  queue.walk(({ value }, ahead) => {
    assert.equal(ahead, walked.length)
    walked.push(value)
  })
  assert.deepEqual(walked, order)
  assert.equal(queue.size, order.length)
  assert.equal(queue.peek()?.value, order[0])
  for (const [ahead, name] of order.entries()) {
    const ticket = tickets.get(name)
    assert.equal(ticket && queue.aheadOf(ticket), ahead)
  }
}

class Enqueue implements fc.Command<Model, Real> {
  readonly precedence: Precedence
  readonly laterMs: number
  constructor(precedence: Precedence, laterMs: number) {
    this.precedence = precedence
    this.laterMs = laterMs
  }
  check = () => true
  run(model: Model, real: Real): void {
    model.clockMs += this.laterMs
    model.latestMs = Math.max(model.latestMs, model.clockMs)
    const name = model.names++
    const { waitMs } = this.precedence
    real.tickets.set(name, real.queue.enqueue(name, waitMs, model.clockMs))
    model.waiting.push({ name, ...this.precedence, dueMs: model.latestMs + waitMs })
    compare(model, real)
  }
  toString = () => `enqueue(${this.precedence.waitMs} ms, +${this.laterMs})`
}

class Dequeue implements fc.Command<Model, Real> {
  check = () => true
  run(model: Model, real: Real): void {
    const first = model.waiting.toSorted(goesFirst)[0]
    assert.equal(real.queue.dequeue()?.value, first?.name)
    model.waiting = model.waiting.filter((waiting) => waiting !== first)
    compare(model, real)
  }
  toString = () => 'dequeue'
}

class Remove implements fc.Command<Model, Real> {
  readonly pick: number
  constructor(pick: number) {
    this.pick = pick
  }
  check = ({ names }: Readonly<Model>) => names > 0
  run(model: Model, real: Real): void {
    const name = this.pick % model.names
    const ticket = real.tickets.get(name)
    const isWaiting = model.waiting.some((waiting) => waiting.name === name)
    assert.equal(ticket && real.queue.remove(ticket), isWaiting)
    model.waiting = model.waiting.filter((waiting) => waiting.name !== name)
    compare(model, real)
  }
  toString = () => `remove(${this.pick})`
}

class RemoveLast implements fc.Command<Model, Real> {
  readonly tier: Tier
  constructor(tier: Tier) {
    this.tier = tier
  }
  check = () => true
  run(model: Model, real: Real): void {
    const last = model.waiting.toSorted(goesFirst).findLast((waiting) => waiting.tier === this.tier)
    const ticket = real.queue.lastOf(this.tier)
    assert.equal(ticket?.value, last?.name)
    if (ticket !== undefined) real.queue.remove(ticket)
    model.waiting = model.waiting.filter((waiting) => waiting !== last)
    compare(model, real)
  }
  toString = () => `removeLast(${this.tier})`
}

/** Often a multiple of the waits' step, so that deadlines are equal. */
const laterMs = fc.oneof(
  fc.integer({ min: -500, max: 3_000 }),
  fc.integer({ min: -2, max: 10 }).map((steps) => steps * waitStepMs),
)

/** Arrivals with service in between, as (who, milliseconds since the last one, how many are served then). */
const history = fc.array(fc.tuple(contributors, fc.integer({ min: 0, max: 4_000 }), fc.nat(2)), {
  minLength: 1,
  maxLength: 100,
  size: 'max',
})

interface Served extends Precedence {
  readonly name: number
  readonly atMs: number
}

function serve(arrivals: readonly (readonly [Precedence, number, number])[]): Served[] {
  const queue = new TieredQueue<Served>()
  const served: Served[] = []
  let atMs = 0
  for (const [name, [precedence, laterMs, serves]] of arrivals.entries()) {
    atMs += laterMs
    queue.enqueue({ name, ...precedence, atMs }, precedence.waitMs, atMs)
    for (let serving = 0; serving < serves; serving++) {
      const next = queue.dequeue()
      if (next !== undefined) served.push(next.value)
    }
  }
  for (let next = queue.dequeue(); next !== undefined; next = queue.dequeue()) served.push(next.value)
  return served
}

describe('tiered queue', () => {
  it('is a list sorted by virtual deadline, whoever comes, goes, leaves or is put out', () => {
    const commands = fc.commands(
      [
        fc.tuple(contributors, laterMs).map(([one, laterMs]) => new Enqueue(one, laterMs)),
        // Bursts of one wait make lanes grow, shrink and wrap around.
        fc.constant(new Enqueue(newcomer, 0)),
        fc.constant(new Enqueue(ofScore(700), 1)),
        fc.constant(new Dequeue()),
        fc.nat(1_000).map((pick) => new Remove(pick)),
        tier.map((one) => new RemoveLast(one)),
      ],
      { maxCommands: 60, size: 'max' },
    )
    fc.assert(
      fc.property(commands, (cmds) => {
        fc.modelRun(
          () => ({
            model: { clockMs: 0, latestMs: -Infinity, names: 0, waiting: [] },
            real: { queue: new TieredQueue<number>(), tickets: new Map() },
          }),
          cmds,
        )
      }),
    )
  })

  it('serves everybody exactly once, and first come first served among those with the same wait', () => {
    fc.assert(
      fc.property(history, (arrivals) => {
        const served = serve(arrivals)
        expect(served.map(({ name }) => name).toSorted((a, b) => a - b)).toEqual([...arrivals.keys()])
        for (const one of new Set(served.map(({ waitMs }) => waitMs))) {
          const names = served.filter(({ waitMs }) => waitMs === one).map(({ name }) => name)
          expect(names).toEqual(names.toSorted((a, b) => a - b))
        }
      }),
    )
  })

  it('lets nobody overtake by more than the waits differ', () => {
    fc.assert(
      fc.property(history, (arrivals) => {
        const served = serve(arrivals)
        const overtaken = served.filter((earlier, turn) =>
          served.slice(turn + 1).some((later) => {
            const headStartMs = later.waitMs - earlier.waitMs
            return earlier.atMs - later.atMs > Math.max(0, headStartMs)
          }),
        )
        expect(overtaken).toEqual([])
      }),
    )
  })

  it('starves nobody: only who came before, or within the head start after, is served before', () => {
    fc.assert(
      fc.property(history, (arrivals) => {
        const served = serve(arrivals)
        for (const [turn, request] of served.entries()) {
          const mayGoBefore = served.filter(
            ({ name, atMs }) => name !== request.name && atMs <= request.atMs + headStartMsMax,
          )
          expect(turn).toBeLessThanOrEqual(mayGoBefore.length)
        }
      }),
    )
  })
})
