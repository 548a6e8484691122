import { expect, test } from 'vitest'
import { createActor, createMachine } from 'xstate'
import { VirtualClock } from '../../../runtime/simulator/virtual-clock.ts'

test('timers fire in the order of time, and then of setting', async () => {
  const clock = new VirtualClock()
  const fired: string[] = []
  clock.after(20, () => fired.push(`late at ${clock.nowMs}`))
  clock.after(10, () => {
    fired.push('first')
    clock.after(0, () => fired.push('third'))
  })
  clock.after(10, () => fired.push('second'))
  clock.after(31, () => fired.push('never'))
  await clock.runUntil(30)
  expect(fired).toEqual(['first', 'second', 'third', 'late at 20'])
  expect(clock.nowMs).toBe(30)
})

test('delays of machines pass with it, and a state that was left waits for nothing', async () => {
  const clock = new VirtualClock()
  const machine = createMachine({
    initial: 'waiting',
    states: { waiting: { after: { 50: 'late' }, on: { leave: 'left' } }, late: {}, left: {} },
  })
  const [one, other] = [0, 1].map(() => createActor(machine, { clock: clock.forMachines }).start())
  await clock.runUntil(49)
  expect(one?.getSnapshot().value).toBe('waiting')
  other?.send({ type: 'leave' })
  await clock.runUntil(50)
  expect(one?.getSnapshot().value).toBe('late')
  expect(other?.getSnapshot().value).toBe('left')
})

test('a pause that rejects ends the run', async () => {
  const clock = new VirtualClock(() => Promise.reject(new Error('enough')))
  await expect(clock.runUntil(1)).rejects.toThrow('enough')
})
