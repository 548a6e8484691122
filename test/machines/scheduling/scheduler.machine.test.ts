import { createActor, SimulatedClock } from 'xstate'
import { afterEach, describe, expect, it } from 'vitest'
import {
  schedulerMachine,
  type SchedulerCommand,
  type SchedulerEmitted,
} from '../../../machines/scheduling/scheduler.machine.ts'
import { tierTerms } from '../../../machines/scheduling/tiers.ts'
import { genesisParams, toEffortPolicy } from '../../../machines/trust/index.ts'

function createRig(capacity = 10) {
  const clock = new SimulatedClock()
  const emitted: SchedulerEmitted[] = []
  const actor = createActor(schedulerMachine, {
    clock,
    input: { nowMs: () => clock.now(), capacity, effort: toEffortPolicy(genesisParams) },
  })
  actor.on('*', (event) => emitted.push(event))
  actor.start()
  const submit = (
    jobId: string,
    rest: Partial<Extract<SchedulerCommand, { type: 'request.submit' }>> = {},
  ): void =>
    actor.send({
      type: 'request.submit',
      jobId,
      modelId: 'llama',
      waitMs: tierTerms.bronze.waitMs,
      promptTokens: 100,
      maxTokens: 100,
      atMs: clock.now(),
      ...rest,
    })
  const wait = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 10) clock.increment(10)
  }
  const take = (): SchedulerEmitted[] => emitted.splice(0)
  const free = (slotId = 'llama/0', runMs = 1_000): void =>
    actor.send({
      type: 'slot.freed',
      slotId,
      atMs: clock.now(),
      promptTokens: 100,
      completionTokens: 50,
      runMs,
    })
  return { actor, clock, submit, wait, take, free }
}

describe('scheduler', () => {
  let stop = (): void => {}
  afterEach(() => stop())
  const start = (capacity?: number) => {
    const rig = createRig(capacity)
    stop = () => rig.actor.stop()
    rig.actor.send({ type: 'slot.added', slotId: 'llama/0', modelId: 'llama' })
    return rig
  }
  const requests = (said: readonly SchedulerEmitted[]) => said.filter(({ type }) => type !== 'queue.changed')

  it('gives a free slot at once and a freed one to the next', () => {
    const { submit, take, wait, free } = start()
    submit('a')
    expect(take()).toMatchObject([
      { type: 'request.admitted', jobId: 'a', position: 0 },
      { type: 'request.assigned', jobId: 'a', slotId: 'llama/0', queuedMs: 0 },
    ])
    submit('b')
    wait(300)
    take()
    free()
    expect(take()).toEqual([{ type: 'request.assigned', jobId: 'b', slotId: 'llama/0', queuedMs: 300 }])
  })

  it('gathers what changes in the queue into one report', () => {
    const { submit, take, wait } = start()
    for (const name of ['a', 'b', 'c']) submit(name)
    wait(200)
    expect(take().filter(({ type }) => type === 'queue.changed')).toEqual([
      { type: 'queue.changed', length: 2, capacity: 10, slotsBusy: 1, slots: 1 },
    ])
    wait(2_000)
    expect(take()).toEqual([])
  })

  it('tells those who moved at most twice a second, and nobody else', () => {
    const { actor, submit, take, wait } = start()
    for (const name of ['running', 'a', 'b', 'c']) submit(name)
    wait(1_000)
    take()
    actor.send({ type: 'request.cancel', jobId: 'a' })
    actor.send({ type: 'request.cancel', jobId: 'c' })
    submit('d', { waitMs: tierTerms.master.waitMs })
    take()
    wait(500)
    // First in front of them, then one behind: the position of b is what it was.
    expect(requests(take())).toEqual([])
    actor.send({ type: 'request.cancel', jobId: 'd' })
    wait(500)
    const told = requests(take())
    expect(told).toMatchObject([{ type: 'request.moved', jobId: 'b', position: 1 }])
    wait(1_000)
    expect(requests(take())).toEqual([])
  })

  it('tells nobody a place behind one whose time is over at that very moment', () => {
    const { submit, take, wait } = start()
    submit('running')
    submit('first', { waitMs: tierTerms.master.waitMs })
    wait(1_300)
    submit('behind', { waitMs: tierTerms.silver.waitMs })
    submit('late', { waitMs: tierTerms.master.waitMs, deadlineMs: 200 })
    take()
    // When the positions are told for the third time.
    wait(200)
    expect(requests(take())).toEqual([{ type: 'request.expired', jobId: 'late' }])
  })

  it('lets deadlines pass to the millisecond while waiting, and never in a slot', () => {
    const { clock, submit, take, wait } = start()
    submit('running', { deadlineMs: 100 })
    submit('late', { deadlineMs: 730 })
    submit('later', { deadlineMs: 790 })
    submit('past', { deadlineMs: 0 })
    expect(requests(take()).at(-1)).toEqual({
      type: 'request.refused',
      jobId: 'past',
      code: 'QM_DEADLINE_PASSED',
    })
    wait(720)
    take()
    clock.increment(9)
    expect(requests(take())).toEqual([])
    clock.increment(1)
    expect(requests(take())).toEqual([{ type: 'request.expired', jobId: 'late' }])
    wait(60)
    expect(requests(take())).toMatchObject([{ type: 'request.expired', jobId: 'later' }])
  })

  it('refuses when full, says when to come back, and lets higher tiers displace the last of the lowest', () => {
    const { submit, take } = start(3)
    for (const name of ['running', 'a', 'b', 'c']) submit(name)
    take()
    submit('d')
    const [refused] = take()
    expect(refused).toMatchObject({ type: 'request.refused', jobId: 'd', code: 'QM_QUEUE_FULL' })
    expect(refused && 'retryAfterMs' in refused && refused.retryAfterMs).toBeGreaterThan(0)
    submit('gold', { waitMs: tierTerms.gold.waitMs })
    expect(take()).toMatchObject([
      { type: 'request.displaced', jobId: 'c' },
      { type: 'request.admitted', jobId: 'gold', position: 1 },
    ])
    submit('silver', { waitMs: tierTerms.silver.waitMs })
    expect(take()).toMatchObject([{ type: 'request.displaced', jobId: 'b' }, { position: 2 }])
    // The last Bronze is in the reserve; a Master displaces the Silver.
    submit('master', { waitMs: tierTerms.master.waitMs })
    expect(take()).toMatchObject([{ type: 'request.displaced', jobId: 'silver' }, { position: 1 }])
    submit('platinum', { waitMs: tierTerms.platinum.waitMs })
    expect(take()).toMatchObject([{ type: 'request.displaced', jobId: 'gold' }, { position: 2 }])
    submit('silver again', { waitMs: tierTerms.silver.waitMs })
    expect(take()).toMatchObject([{ type: 'request.refused', code: 'QM_QUEUE_FULL' }])
  })

  it('keeps what it admitted when its capacity shrinks, and refuses by the reason given', () => {
    const { actor, submit, take, free } = start()
    for (const name of ['running', 'a', 'b', 'c']) submit(name)
    actor.send({ type: 'capacity.changed', capacity: 1, accepting: true })
    take()
    submit('d')
    expect(take()).toMatchObject([{ type: 'request.refused', code: 'QM_QUEUE_FULL' }])
    actor.send({ type: 'capacity.changed', capacity: 0, accepting: false })
    submit('e')
    expect(take()).toMatchObject([{ type: 'request.refused', code: 'QM_OVERLOADED' }])
    actor.send({ type: 'capacity.changed', capacity: 0, accepting: false, code: 'QM_DRAINING' })
    submit('f')
    expect(take()).toMatchObject([{ type: 'request.refused', code: 'QM_DRAINING' }])
    for (const name of ['a', 'b', 'c']) {
      free()
      expect(take()).toMatchObject([{ type: 'request.assigned', jobId: name }])
    }
  })

  it('learns how long requests take, and foretells from that', () => {
    const { submit, take, free, wait } = start()
    for (let at = 0; at < 40; at++) {
      submit(`job${at}`)
      wait(100)
      free('llama/0', 100)
    }
    submit('running')
    for (const name of ['a', 'b', 'c']) submit(name)
    const etas = take().flatMap((said) =>
      said.type === 'request.admitted' && ['a', 'b', 'c'].includes(said.jobId) ? [said.etaMs] : [],
    )
    for (const [at, etaMs] of etas.entries()) {
      expect(etaMs).toBeGreaterThan((at + 1) * 100 * 0.8)
      expect(etaMs).toBeLessThan((at + 2) * 100 * 1.2)
    }
    expect(etas).toHaveLength(3)
  })

  it('ignores what concerns nobody', () => {
    const { actor, submit, take, free } = start()
    free('llama/0')
    free('nowhere/7')
    actor.send({ type: 'slot.removed', slotId: 'nowhere/7' })
    actor.send({ type: 'request.cancel', jobId: 'nobody' })
    actor.send({ type: 'model.gone', modelId: 'nothing', code: 'QM_ENGINE_CRASHED' })
    actor.send({ type: 'slot.added', slotId: 'llama/0', modelId: 'llama' })
    expect(requests(take())).toEqual([])
    submit('a', { modelId: 'unknown' })
    expect(take()).toMatchObject([{ type: 'request.refused', code: 'QM_MODEL_UNKNOWN' }])
    submit('b')
    submit('b')
    expect(take().at(-1)).toMatchObject({ type: 'request.refused', code: 'QM_DUPLICATE_REQUEST' })
  })

  describe('the effort asked for', () => {
    const bitsOf = (said: readonly SchedulerEmitted[]) =>
      said.flatMap((event) => (event.type === 'effort.changed' ? [event.bits] : []))
    /** One runs and nine wait, of ten that may. */
    const crowd = () => {
      const rig = start()
      for (let index = 0; index < 10; index++) rig.submit(`job ${index}`)
      rig.take()
      return rig
    }

    it('rises by a bit for every five seconds of a queue that is nearly full, without any news of it', () => {
      const { wait, take } = crowd()
      wait(4_900)
      expect(bitsOf(take())).toEqual([])
      wait(200)
      expect(bitsOf(take())).toEqual([1])
      wait(10_000)
      expect(bitsOf(take())).toEqual([2, 3])
    })

    it('stays while some have gone, falls when half of them have, and then rests', () => {
      const { actor, wait, take, free } = crowd()
      wait(10_100)
      expect(bitsOf(take())).toEqual([1, 2])
      free()
      wait(30_000)
      expect(bitsOf(take())).toEqual([])
      for (let index = 0; index < 4; index++) free()
      wait(30_000)
      expect(bitsOf(take())).toEqual([1, 0])
      expect(actor.getSnapshot().value).toMatchObject({ effort: 'resting' })
    })

    it('does not count a moment in which there was room as full', () => {
      const { actor, wait, take, submit } = crowd()
      for (const [bits, gone, come] of [
        [1, 'job 9', 'another'],
        [2, 'another', 'a third'],
      ] as const) {
        wait(3_900)
        actor.send({ type: 'request.cancel', jobId: gone })
        submit(come)
        wait(4_900)
        expect(bitsOf(take())).toEqual([])
        wait(200)
        expect(bitsOf(take())).toEqual([bits])
      }
    })

    it('is asked where places were taken away', () => {
      const { actor, wait, take, submit } = start()
      for (let index = 0; index < 5; index++) submit(`job ${index}`)
      wait(10_000)
      expect(bitsOf(take())).toEqual([])
      actor.send({ type: 'capacity.changed', capacity: 4, accepting: true })
      wait(5_100)
      expect(bitsOf(take())).toEqual([1])
    })
  })

  it('shows a summary of itself, not its requests', () => {
    const { actor, submit } = start()
    submit('private')
    const text = JSON.stringify(actor.getSnapshot())
    expect(text).toContain('"slotsBusy":1')
    expect(text).not.toContain('private')
  })

  it('reaches every state by its own events', () => {
    const submission = (jobId: string, deadlineMs?: number): SchedulerCommand => ({
      type: 'request.submit',
      jobId,
      modelId: 'llama',
      waitMs: tierTerms.bronze.waitMs,
      promptTokens: 1,
      maxTokens: 1,
      atMs: 0,
      deadlineMs,
    })
    // Its queue is mutable, so states are walked through here: `getShortestPaths` explores copies.
    const seen = new Set<string>()
    const { actor, wait } = start(1)
    const look = (): void => {
      const { value } = actor.getSnapshot()
      for (const [region, state] of Object.entries(value)) seen.add(`${region}.${state}`)
    }
    actor.subscribe(look)
    look()
    actor.send(submission('running'))
    actor.send(submission('waiting', 100))
    wait(1_000)
    const all = Object.values(schedulerMachine.root.states).flatMap((region) =>
      Object.keys(region.states).map((state) => `${region.key}.${state}`),
    )
    expect([...seen].toSorted()).toEqual(all.toSorted())
  })
})
