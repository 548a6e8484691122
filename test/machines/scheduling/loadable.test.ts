import { createActor, SimulatedClock } from 'xstate'
import { afterEach, describe, expect, it } from 'vitest'
import { schedulerMachine, type SchedulerEmitted } from '../../../machines/scheduling/scheduler.machine.ts'
import { tierTerms } from '../../../machines/scheduling/tiers.ts'

const loadMs = 5_000

function createRig() {
  const clock = new SimulatedClock()
  const emitted: SchedulerEmitted[] = []
  const actor = createActor(schedulerMachine, { clock, input: { nowMs: () => clock.now(), capacity: 50 } })
  actor.on('*', (event) => {
    if (event.type !== 'queue.changed') emitted.push(event)
  })
  actor.start()
  const submit = (jobId: string, modelId: string): void =>
    actor.send({
      type: 'request.submit',
      jobId,
      modelId,
      waitMs: tierTerms.bronze.waitMs,
      promptTokens: 100,
      maxTokens: 100,
      atMs: clock.now(),
    })
  const wait = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 10) clock.increment(10)
  }
  const free = (slotId: string): void =>
    actor.send({
      type: 'slot.freed',
      slotId,
      atMs: clock.now(),
      promptTokens: 100,
      completionTokens: 50,
      runMs: 1_000,
    })
  const take = (): SchedulerEmitted[] => emitted.splice(0)
  return { actor, submit, wait, take, free }
}

describe('a model that is not loaded', () => {
  let stop = (): void => {}
  afterEach(() => stop())
  const start = () => {
    const rig = createRig()
    stop = () => rig.actor.stop()
    rig.actor.send({ type: 'model.loadable', modelId: 'b', slots: 1, loadMs })
    return rig
  }

  it('is asked for once, by the first who waits, who is told how long loading takes', () => {
    const { actor, submit, take, wait } = start()
    submit('1', 'b')
    submit('2', 'b')
    const [first, wanted, second, ...rest] = take()
    expect(first).toMatchObject({ type: 'request.admitted', jobId: '1', position: 1 })
    // Loading, and 100 tokens of prompt at the speed that is guessed.
    expect(first).toMatchObject({ etaMs: loadMs + 200 })
    expect(wanted).toEqual({ type: 'model.wanted', modelId: 'b' })
    expect(second).toMatchObject({ type: 'request.admitted', jobId: '2', position: 2 })
    expect(second && 'etaMs' in second && second.etaMs).toBeGreaterThan(loadMs + 200)
    expect(rest).toEqual([])

    actor.send({ type: 'model.expected', modelId: 'b', loadMs: 3_000 })
    wait(500)
    expect(take()).toMatchObject([
      { type: 'request.moved', jobId: '1', etaMs: 2_700 },
      { type: 'request.moved', jobId: '2' },
    ])
    actor.send({ type: 'slot.added', slotId: 'b/0', modelId: 'b' })
    expect(take()).toMatchObject([
      { type: 'request.assigned', jobId: '1', slotId: 'b/0' },
      { type: 'model.unwanted', modelId: 'b' },
    ])
  })

  it('is not asked for any more when nobody waits', () => {
    const { actor, submit, take } = start()
    submit('1', 'b')
    take()
    actor.send({ type: 'request.cancel', jobId: '1' })
    expect(take()).toEqual([{ type: 'model.unwanted', modelId: 'b' }])
  })
})

describe('a model that has to make room', () => {
  let stop = (): void => {}
  afterEach(() => stop())
  const hold = { type: 'model.hold', modelId: 'a', turn: 1, wantedBy: 'b', loadMs: 2_000 } as const
  const start = () => {
    const rig = createRig()
    stop = () => rig.actor.stop()
    rig.actor.send({ type: 'slot.added', slotId: 'a/0', modelId: 'a' })
    rig.actor.send({ type: 'model.loadable', modelId: 'b', slots: 1, loadMs })
    return rig
  }

  it('goes at once when it has nothing to do', () => {
    const { actor, take } = start()
    actor.send(hold)
    expect(take()).toEqual([{ type: 'model.yielded', modelId: 'a', turn: 1 }])
  })

  it('serves those who waited for it, and nobody who comes later', () => {
    const { actor, submit, take, free } = start()
    submit('runs', 'a')
    submit('waits', 'a')
    submit('other', 'b')
    take()
    actor.send(hold)
    submit('late', 'a')
    const [late] = take()
    expect(late).toMatchObject({ type: 'request.admitted', jobId: 'late' })
    // After those before it, the other model's time, and its own way back.
    expect(late && 'etaMs' in late && late.etaMs).toBeGreaterThan(loadMs + hold.loadMs)
    free('a/0')
    expect(take()).toMatchObject([{ type: 'request.assigned', jobId: 'waits' }])
    free('a/0')
    expect(take()).toEqual([{ type: 'model.yielded', modelId: 'a', turn: 1 }])

    actor.send({ type: 'slot.removed', slotId: 'a/0' })
    expect(take()).toEqual([{ type: 'model.wanted', modelId: 'a' }])
    actor.send({ type: 'model.loadable', modelId: 'a', slots: 1, loadMs: 2_000 })
    actor.send({ type: 'slot.added', slotId: 'a/0', modelId: 'a' })
    expect(take()).toMatchObject([
      { type: 'request.assigned', jobId: 'late' },
      { type: 'model.unwanted', modelId: 'a' },
    ])
  })

  it('goes on when the other is not wanted any more', () => {
    const { actor, submit, take } = start()
    actor.send(hold)
    submit('late', 'a')
    take()
    actor.send({ type: 'model.release', modelId: 'a' })
    expect(take()).toMatchObject([{ type: 'request.assigned', jobId: 'late' }])
  })

  it('tells those who wait for the other how long it still works', () => {
    const { actor, submit, take, wait } = start()
    submit('runs', 'a')
    submit('other', 'b')
    take()
    actor.send(hold)
    wait(500)
    const [moved] = take()
    expect(moved).toMatchObject({ type: 'request.moved', jobId: 'other', position: 1 })
    expect(moved && 'etaMs' in moved && moved.etaMs).toBeGreaterThan(loadMs + 1_000)
  })
})
