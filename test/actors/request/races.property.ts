import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRig, settled, textOf, toFinish } from './rig.ts'

/** One question at one worker, and things that happen to it in whatever order the scheduler picks. */
async function race(
  scheduler: fc.Scheduler,
  start: (rig: Started) => readonly (readonly [label: string, ...acts: (() => unknown)[]])[],
) {
  const rig = createRig()
  const worker = rig.addWorker()
  const answer = rig.asker.ask('hello')
  await settled()
  const outcomes: string[] = []
  answer.result.then(
    ({ text }) => outcomes.push(`done ${text}`),
    ({ code, partial }: { code: string; partial: string }) => outcomes.push(`${code} ${partial}`),
  )
  const positions: number[] = []
  answer.on('queued', ({ position }) => positions.push(position))
  // The acts of one lane keep their order, as frames of one connection do; lanes overtake each other freely.
  for (const [label, ...acts] of start({ ...rig, worker, answer })) {
    void scheduler.scheduleSequence(
      acts.map((act, index) => ({ label: `${label} ${index}`, builder: async () => void act() })),
    )
  }
  await scheduler.waitIdle()
  await settled()
  // Nobody else comes to go on with an answer that was cut off.
  rig.pass(15_100)
  await settled()
  const ends = rig.standing.filter(([what]) => ['finished', 'failed', 'cancelled'].includes(what))
  expect(ends).toHaveLength(1)
  expect(rig.dispatcher.size).toBe(0)
  expect(rig.asker.open).toBe(0)
  expect(rig.requester.getSnapshot().context.openByShard.size).toBe(0)
  return { outcomes, positions, worker, end: ends[0]?.[0] }
}

type Started = ReturnType<typeof createRig> & {
  readonly worker: ReturnType<ReturnType<typeof createRig>['addWorker']>
  readonly answer: ReturnType<ReturnType<typeof createRig>['asker']['ask']>
}

test('a cancel racing an answer yields at most one outcome, and the worker hears of it only if it won', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const { outcomes, worker, end } = await race(scheduler, ({ worker, answer }) => [
        [
          'worker',
          () => worker.position(0),
          () => worker.tokens(0, 2),
          () => worker.tokens(2, 1, toFinish(3)),
        ],
        ['reader', () => answer.cancel()],
        ['again', () => answer.cancel()],
      ])
      expect(outcomes).toHaveLength(1)
      const isDone = outcomes[0] === `done ${textOf(3)}`
      expect(worker.heard.filter(({ type }) => type === 'cancel')).toHaveLength(isDone ? 0 : 1)
      expect(end).toBe(isDone ? 'finished' : 'cancelled')
      expect(isDone || outcomes[0]?.startsWith('QM_CANCELLED')).toBe(true)
    }),
  )
})

test('a worker closing as its last frame arrives has answered, or is lost, never both', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const { outcomes, end } = await race(scheduler, ({ worker }) => [
        ['worker', () => worker.tokens(0, 2), () => worker.tokens(2, 1, toFinish(3))],
        ['network', () => worker.disconnect()],
      ])
      expect(outcomes).toHaveLength(1)
      const isDone = outcomes[0] === `done ${textOf(3)}`
      expect(end).toBe(isDone ? 'finished' : 'failed')
      expect(isDone || ['QM_WORKER_LOST ', `QM_WORKER_LOST ${textOf(2)}`].includes(outcomes[0] ?? '')).toBe(
        true,
      )
    }),
  )
})

test('positions that race the first token, the clock and each other never undo a later phase', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const { outcomes, positions } = await race(scheduler, ({ worker, ...rig }) => [
        ['one', () => worker.position(2)],
        ['two', () => worker.position(1)],
        ['tokens', () => worker.tokens(0, 1), () => worker.tokens(1, 1, toFinish(2))],
        ['clock', () => rig.pass(5_000)],
      ])
      expect(outcomes).toStrictEqual([`done ${textOf(2)}`])
      expect(positions.length).toBeLessThanOrEqual(2)
    }),
  )
})

test('the node stopping in the middle of anything leaves one outcome', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const { outcomes } = await race(scheduler, ({ worker, answer, requester }) => [
        ['worker', () => worker.tokens(0, 1), () => worker.tokens(1, 1, toFinish(2))],
        ['reader', () => answer.cancel()],
        ['node', () => requester.send({ type: 'requester.stop' })],
      ])
      expect(outcomes).toHaveLength(1)
    }),
  )
})
