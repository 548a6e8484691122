// What has to hold depends on what was said.
/* oxlint-disable vitest/no-conditional-expect */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createActor, SimulatedClock } from 'xstate'
import { describe, expect, it } from 'vitest'
import { schedulerMachine } from '../../../machines/scheduling/scheduler.machine.ts'
import { Scheduler } from '../../../machines/scheduling/scheduler.ts'
import { headStartMsMax, tierTerms, type Precedence, type Tier } from '../../../machines/scheduling/tiers.ts'
import { contributors } from './contributors.ts'

/** A tenth, and one at least where there are two places. */
const bronzeReserve = (capacity: number): number =>
  capacity < 2 ? 0 : Math.max(1, Math.floor(capacity / 10))

interface Turn {
  readonly kind: 'submit' | 'free' | 'cancel' | 'lose' | 'add' | 'resize' | 'pass' | 'jumpBack'
  readonly who: Precedence
  readonly pick: number
}

const kinds = ['submit', 'submit', 'submit', 'submit', 'free', 'free', 'cancel', 'pass', 'pass'] as const
const faults = ['lose', 'add', 'resize', 'jumpBack'] as const

const histories = (turnsMax: number) =>
  fc.array(
    fc.record<Turn>({
      kind: fc.constantFrom(...kinds, ...faults),
      who: contributors,
      pick: fc.nat(6_000),
    }),
    { minLength: 1, maxLength: turnsMax, size: 'max' },
  )

interface Waiting extends Precedence {
  readonly jobId: string
  /** By a clock that no jump touches. */
  readonly cameMs: number
}

/** Plays a history on the real scheduler, and checks after every turn what its documentation promises. */
function play(turns: readonly Turn[]): void {
  let capacity = 20
  let clockMs = 1_000_000
  let trueMs = 0
  let jobs = 0
  let waiting: Waiting[] = []
  const running = new Map<string, string>()
  const slots = new Set<string>()
  const scheduler = new Scheduler({ capacity })
  const count = (tier: Tier): number => waiting.filter((one) => one.tier === tier).length

  const hear = (said: ReturnType<Scheduler['submit']>, newcomer?: Waiting): void => {
    for (const one of said) {
      if (one.type === 'request.admitted' && newcomer) {
        waiting.push(newcomer)
        if (one.position > 0) assert.equal(one.position, (scheduler.aheadOf(one.jobId) ?? -1) + 1)
      }
      if (one.type === 'request.displaced') {
        const victim = waiting.find(({ jobId }) => jobId === one.jobId)
        const rank = tierTerms[victim?.tier ?? 'master'].rank
        assert(rank > tierTerms[newcomer?.tier ?? 'bronze'].rank)
        // Whoever of its tier would have gone last, and no Bronze out of the reserve.
        for (const { tier, cameMs, waitMs } of waiting) {
          if (tier === victim?.tier) assert(cameMs + waitMs <= victim.cameMs + victim.waitMs)
        }
        if (victim?.tier === 'bronze') assert(count('bronze') > bronzeReserve(capacity))
        assert((one.retryAfterMs ?? 0) > 0)
        waiting = waiting.filter((other) => other !== victim)
      }
      if (one.type === 'request.refused') {
        assert.equal(one.code, 'QM_QUEUE_FULL')
        assert((one.retryAfterMs ?? 0) > 0)
        if (newcomer?.tier === 'bronze') assert(waiting.length >= capacity)
      }
      if (one.type === 'request.assigned') {
        const next = waiting.find(({ jobId }) => jobId === one.jobId)
        for (const other of waiting) {
          if (next === undefined || other === next) continue
          // Whoever is passed over by a later one is so within the head start, and never by one who has to wait as long.
          const headStartMs = other.waitMs - next.waitMs
          const allowedMs = Math.min(headStartMsMax, Math.max(0, headStartMs))
          assert(next.cameMs - other.cameMs <= allowedMs)
          if (headStartMs === 0) assert(waiting.indexOf(other) > waiting.indexOf(next))
        }
        waiting = waiting.filter((other) => other !== next)
        running.set(one.slotId, one.jobId)
      }
    }
  }

  const add = (slotId: string): void => {
    slots.add(slotId)
    hear(scheduler.addSlot(slotId, 'm', clockMs))
  }
  add('m/0')
  for (const { kind, who, pick } of turns) {
    const slotId = [...running.keys()][pick % Math.max(1, running.size)] ?? 'm/9'
    if (kind === 'submit') {
      const newcomer = { jobId: `job${jobs++}`, ...who, cameMs: trueMs }
      const work = { promptTokens: 10, maxTokens: 10, modelId: 'm' }
      const { jobId, waitMs } = newcomer
      hear(scheduler.submit({ ...work, jobId, waitMs, atMs: clockMs }, clockMs), newcomer)
    } else if (kind === 'free' && running.delete(slotId)) {
      const freed = { slotId, atMs: clockMs, promptTokens: 10, completionTokens: 5, runMs: 100 }
      hear(scheduler.freeSlot(freed, clockMs))
    } else if (kind === 'cancel' && waiting.length > 0) {
      const gone = waiting[pick % waiting.length]
      assert(scheduler.cancel(gone?.jobId ?? ''))
      waiting = waiting.filter((one) => one !== gone)
    } else if (kind === 'lose') {
      running.delete(slotId)
      slots.delete(slotId)
      scheduler.removeSlot(slotId)
    } else if (kind === 'add') {
      add(`m/${pick % 3}`)
    } else if (kind === 'resize') {
      capacity = pick % 25
      scheduler.setCapacity(capacity, undefined)
    } else if (kind === 'pass') {
      clockMs += pick
      trueMs += pick
      scheduler.expire(clockMs)
    } else if (kind === 'jumpBack') {
      clockMs -= pick * 100
      // The jump is noticed at the next word; here at once.
      scheduler.expire(clockMs)
    }
    const { length, slotsBusy } = scheduler.report()
    assert.equal(length, waiting.length)
    assert.equal(slotsBusy, running.size)
    if (waiting.length > 0) assert.equal(running.size, slots.size)
  }
}

/** A simulated clock that knows how many timers are set. */
class CountedClock extends SimulatedClock {
  readonly #set = new Set<number>()

  get timers(): number {
    return this.#set.size
  }

  override setTimeout(run: (...args: unknown[]) => void, ms: number): number {
    const id: number = super.setTimeout(() => {
      this.#set.delete(id)
      run()
    }, ms)
    this.#set.add(id)
    return id
  }

  override clearTimeout(id: number): void {
    this.#set.delete(id)
    super.clearTimeout(id)
  }
}

describe('fairness', () => {
  it('holds through lost slots, changing capacity and clocks that jump back', () => {
    fc.assert(fc.property(histories(120), play), { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 1_000) })
  })

  it('has a place for Bronze up to its tenth, whatever the others do', () => {
    const newcomers = fc.array(contributors, { maxLength: 60, size: 'max' })
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), newcomers, (capacity, comers) => {
        const scheduler = new Scheduler({ capacity })
        scheduler.addSlot('m/0', 'm', 0)
        const submit = (jobId: string, waitMs: number) =>
          scheduler.submit({ jobId, waitMs, modelId: 'm', promptTokens: 1, maxTokens: 1, atMs: 0 }, 0)
        submit('running', 0)
        for (const [at, { waitMs }] of comers.entries()) submit(`job${at}`, waitMs)
        const bronze = comers.filter(
          ({ tier }, at) => tier === 'bronze' && scheduler.aheadOf(`job${at}`) !== undefined,
        ).length
        for (let more = bronze; more < bronzeReserve(capacity); more++) {
          expect(submit(`more${more}`, tierTerms.bronze.waitMs)).toMatchObject([{ type: 'request.admitted' }])
        }
      }),
    )
  })

  it('says nothing and keeps no timer once its machine has been stopped, at whatever step', () => {
    fc.assert(
      fc.property(histories(40), fc.nat(40), (turns, stopAt) => {
        const clock = new CountedClock()
        const actor = createActor(schedulerMachine, {
          clock,
          input: { nowMs: () => clock.now(), capacity: 20 },
        })
        let said = 0
        actor.on('*', () => said++)
        actor.start()
        actor.send({ type: 'slot.added', slotId: 'm/0', modelId: 'm' })
        for (const [at, { who, pick }] of turns.slice(0, stopAt).entries()) {
          const { waitMs } = who
          const work = { promptTokens: 1, maxTokens: 1, modelId: 'm' }
          const deadlineMs = pick + 1
          actor.send({
            type: 'request.submit',
            ...work,
            jobId: `${at}`,
            waitMs,
            atMs: clock.now(),
            deadlineMs,
          })
          clock.increment(pick % 300)
        }
        actor.stop()
        const before = said
        expect(clock.timers).toBe(0)
        clock.increment(60_000)
        expect(said).toBe(before)
      }),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 50) },
    )
  })
})
