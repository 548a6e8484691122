import { createActor, SimulatedClock } from 'xstate'
import { describe, expect, it } from 'vitest'
import { schedulerMachine, type SchedulerEmitted } from '../../../machines/scheduling/scheduler.machine.ts'
import { Scheduler } from '../../../machines/scheduling/scheduler.ts'
import { SteadyClock } from '../../../machines/scheduling/steady-clock.ts'
import { tierTerms, type Tier } from '../../../machines/scheduling/tiers.ts'
import { RateLimiter, tierRates } from '../../../machines/scheduling/token-bucket.ts'

const hourMs = 3_600_000

const submission = (jobId: string, tier: Tier, atMs: number, deadlineMs?: number) => ({
  jobId,
  modelId: 'llama',
  waitMs: tierTerms[tier].waitMs,
  promptTokens: 10,
  maxTokens: 10,
  atMs,
  deadlineMs,
})

const createBusy = (nowMs: number, capacity = 10): Scheduler => {
  const scheduler = new Scheduler({ capacity })
  scheduler.addSlot('llama/0', 'llama', nowMs)
  scheduler.submit(submission('running', 'bronze', nowMs), nowMs)
  return scheduler
}

const free = (scheduler: Scheduler, nowMs: number): readonly SchedulerEmitted[] =>
  scheduler.freeSlot(
    { slotId: 'llama/0', atMs: nowMs, promptTokens: 10, completionTokens: 10, runMs: 100 },
    nowMs,
  )

describe('steady clock', () => {
  it('runs on from where it was after a jump back, and believes a jump forward', () => {
    const clock = new SteadyClock()
    expect([0, 100, -hourMs, -hourMs + 40, 2 * hourMs].map((ms) => clock.read(ms))).toEqual([
      0,
      100,
      100,
      140,
      140 + 3 * hourMs - 40,
    ])
  })
})

describe('a clock that jumps back', () => {
  it('stops no deadline', () => {
    const scheduler = createBusy(hourMs)
    scheduler.submit(submission('late', 'bronze', hourMs, 1_000), hourMs)
    expect(scheduler.expire(0)).toEqual([])
    expect(scheduler.expire(999)).toEqual([])
    expect(scheduler.expire(1_000)).toEqual([{ type: 'request.expired', jobId: 'late' }])
  })

  it('stops no ageing: five seconds later a Master no longer overtakes a Bronze', () => {
    const scheduler = createBusy(hourMs)
    scheduler.submit(submission('bronze', 'bronze', hourMs), hourMs)
    scheduler.submit(submission('soon', 'master', 0), 0)
    scheduler.submit(submission('later', 'master', 5_000), 5_000)
    const order = ['soon', 'bronze', 'later']
    for (const jobId of order) expect(free(scheduler, 6_000)).toMatchObject([{ jobId }])
  })

  it('keeps waits and promises sane', () => {
    const scheduler = createBusy(hourMs)
    const [said] = scheduler.submit(submission('next', 'bronze', 0), 0)
    expect(said).toMatchObject({ type: 'request.admitted', position: 1 })
    expect(said && 'etaMs' in said && said.etaMs).toBeLessThan(10_000)
    expect(free(scheduler, 500)).toMatchObject([{ type: 'request.assigned', queuedMs: 500 }])
  })

  it('leaves no client without its requests until it has caught up', () => {
    const limiter = new RateLimiter()
    for (let taken = 0; taken < tierRates.bronze.burst; taken++) limiter.take('client', 'bronze', hourMs)
    expect(limiter.take('client', 'bronze', 0)).toBeGreaterThan(0)
    expect(limiter.take('client', 'bronze', 250)).toBe(0)
  })

  it('delays the timer of the machine by no more than the jump hides', () => {
    const clock = new SimulatedClock()
    let shiftMs = hourMs
    const told: string[] = []
    const nowMs = (): number => clock.now() + shiftMs
    const actor = createActor(schedulerMachine, { clock, input: { nowMs, capacity: 10 } })
    actor.on('request.expired', ({ jobId }) => told.push(jobId))
    actor.start()
    actor.send({ type: 'slot.added', slotId: 'llama/0', modelId: 'llama' })
    actor.send({ type: 'request.submit', ...submission('running', 'bronze', nowMs()) })
    actor.send({ type: 'request.submit', ...submission('late', 'bronze', nowMs(), 300) })
    shiftMs = 0
    for (let passed = 0; passed < 700; passed += 10) clock.increment(10)
    expect(told).toEqual(['late'])
    actor.stop()
  })
})

describe('a clock that jumps forward', () => {
  it('is believed: deadlines have passed, and who waited goes before who comes', () => {
    const scheduler = createBusy(0)
    scheduler.submit(submission('late', 'bronze', 0, 1_000), 0)
    scheduler.submit(submission('patient', 'bronze', 0), 0)
    expect(scheduler.expire(hourMs)).toEqual([{ type: 'request.expired', jobId: 'late' }])
    scheduler.submit(submission('master', 'master', hourMs), hourMs)
    expect(free(scheduler, hourMs)).toMatchObject([{ jobId: 'patient' }])
  })

  it('refuses a request whose deadline passed before it came', () => {
    const scheduler = createBusy(hourMs)
    const [said] = scheduler.submit(submission('past', 'master', 0, 1_000), hourMs)
    expect(said).toMatchObject({ type: 'request.refused', code: 'QM_DEADLINE_PASSED' })
  })
})

describe('a late timer', () => {
  it('costs nobody a place: those whose time is over make room first', () => {
    const scheduler = createBusy(0, 1)
    scheduler.submit(submission('over', 'bronze', 0, 1_000), 0)
    expect(scheduler.submit(submission('next', 'bronze', 1_000), 1_000)).toMatchObject([
      { type: 'request.expired', jobId: 'over' },
      { type: 'request.admitted', jobId: 'next', position: 1 },
    ])
  })
})

describe('a deadline that the forecast does not meet', () => {
  it('is no reason to refuse: the client is told, and may be lucky', () => {
    const scheduler = createBusy(0)
    const [said] = scheduler.submit(submission('hopeful', 'bronze', 0, 10), 0)
    expect(said).toMatchObject({ type: 'request.admitted' })
    expect(said && 'etaMs' in said && said.etaMs).toBeGreaterThan(10)
    expect(free(scheduler, 5)).toMatchObject([{ type: 'request.assigned', jobId: 'hopeful' }])
  })
})
