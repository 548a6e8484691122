import { describe, expect, it } from 'vitest'
import { createActor, fromCallback, setup, SimulatedClock, type AnyEventObject } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import { slotMachine, type SlotCommand, type SlotReport } from '../../../machines/inference/slot.machine.ts'
import type { GenerationResult, JobCommand, RunJobInput } from '../../../machines/inference/index.ts'

const result: GenerationResult = {
  reason: 'stop',
  promptTokens: 5,
  cachedTokens: 0,
  completionTokens: 7,
  firstTokenMs: 1,
  totalMs: 9,
}

/** The graph has no parent to report to. */
const silent = (): void => undefined

/** A slot under a parent that notes what it is told, with a job that only listens. */
function createRig() {
  const clock = new SimulatedClock()
  const reports: SlotReport[] = []
  const toJob: string[] = []
  const runJob = fromCallback<JobCommand, RunJobInput>(({ receive }) => {
    toJob.push('started')
    receive(({ type }) => toJob.push(type))
    return () => void toJob.push('ended')
  })
  const parent = setup({
    actors: { slot: slotMachine.provide({ actors: { runJob } }) },
  }).createMachine({
    invoke: { src: 'slot', id: 'slot', input: { slotId: 'tiny/0', modelId: 'tiny' } },
    on: { 'slot.*': { actions: ({ event }) => void reports.push(event as SlotReport) } },
  })
  const actor = createActor(parent, { clock }).start()
  const slot = actor.getSnapshot().children['slot']
  const send = (event: SlotCommand): void => slot?.send(event)
  const state = (): unknown => (slot?.getSnapshot() as { value: unknown } | undefined)?.value
  return { clock, reports, toJob, send, state }
}

describe('a slot', () => {
  it('reaches every state', () => {
    const events: AnyEventObject[] = [
      { type: 'slot.run', jobId: 'a' },
      { type: 'slot.cancel' },
      { type: 'job.firstToken' },
      { type: 'job.finished', result },
      { type: 'job.failed', code: 'QM_CANCELLED' },
      { type: 'host.lost', code: 'QM_ENGINE_CRASHED' },
      { type: 'host.ready' },
      { type: 'xstate.after.lastWords.slot.running.failed' },
      { type: 'xstate.error.actor.job', error: new Error('thrown') },
    ]
    const paths = getShortestPaths(slotMachine.provide({ actions: { free: silent, refuse: silent } }), {
      events: events as never,
      input: { slotId: 'tiny/0', modelId: 'tiny' },
    })
    const reached = new Set(paths.map(({ state }) => JSON.stringify(state.value)))
    expect([...reached].toSorted()).toEqual(
      [
        'idle',
        'recovering',
        ...['prefilling', 'generating', 'draining', 'failed'].map((running) => ({ running })),
      ]
        .map((value) => JSON.stringify(value))
        .toSorted(),
    )
  })

  it('runs one job and says what it took', () => {
    const { send, state, reports, toJob } = createRig()
    send({ type: 'slot.run', jobId: 'a' })
    expect(state()).toEqual({ running: 'prefilling' })
    send({ type: 'job.firstToken' })
    expect(state()).toEqual({ running: 'generating' })
    send({ type: 'job.finished', result })
    expect(state()).toBe('idle')
    expect(toJob).toEqual(['started', 'ended'])
    expect(reports).toEqual([
      {
        type: 'slot.freed',
        slotId: 'tiny/0',
        jobId: 'a',
        outcome: 'finished',
        promptTokens: 5,
        completionTokens: 7,
        runMs: 9,
      },
    ])
  })

  it('refuses a second job and keeps the first', () => {
    const { send, state, reports } = createRig()
    send({ type: 'slot.run', jobId: 'a' })
    send({ type: 'slot.run', jobId: 'b' })
    expect(reports).toEqual([{ type: 'slot.refused', slotId: 'tiny/0', jobId: 'b', code: 'QM_INTERNAL' }])
    send({ type: 'job.failed', code: 'QM_INFERENCE_FAILED' })
    expect(reports.at(-1)).toMatchObject({ jobId: 'a', outcome: 'failed', code: 'QM_INFERENCE_FAILED' })
    expect(state()).toBe('idle')
  })

  it('drains when cancelled: the job is asked once, and frees the slot when it has stopped', () => {
    const { send, state, reports, toJob } = createRig()
    send({ type: 'slot.run', jobId: 'a' })
    send({ type: 'slot.cancel' })
    send({ type: 'slot.cancel' })
    expect(state()).toEqual({ running: 'draining' })
    expect(toJob).toEqual(['started', 'job.cancel'])
    expect(reports).toEqual([])
    send({ type: 'job.failed', code: 'QM_CANCELLED', promptTokens: 4, completionTokens: 2, runMs: 3 })
    expect(state()).toBe('idle')
    expect(reports).toMatchObject([{ jobId: 'a', outcome: 'cancelled', promptTokens: 4, runMs: 3 }])
  })

  it('that loses its host waits for the last words of its job, then for the host', () => {
    const { send, state, reports } = createRig()
    send({ type: 'slot.run', jobId: 'a' })
    send({ type: 'host.lost', code: 'QM_ENGINE_CRASHED' })
    expect(state()).toEqual({ running: 'failed' })
    send({ type: 'job.failed', code: 'QM_ENGINE_CRASHED' })
    expect(state()).toBe('recovering')
    send({ type: 'slot.run', jobId: 'b' })
    send({ type: 'host.ready' })
    expect(state()).toBe('idle')
    expect(reports).toMatchObject([
      { type: 'slot.freed', jobId: 'a', outcome: 'failed', code: 'QM_ENGINE_CRASHED' },
      { type: 'slot.refused', jobId: 'b', code: 'QM_ENGINE_CRASHED' },
    ])
  })

  it('does not wait for ever for a job that says nothing', () => {
    const { send, state, reports, clock, toJob } = createRig()
    send({ type: 'slot.run', jobId: 'a' })
    send({ type: 'host.lost', code: 'QM_ENGINE_HUNG' })
    clock.increment(4_999)
    expect(state()).toEqual({ running: 'failed' })
    clock.increment(1)
    expect(state()).toBe('recovering')
    expect(toJob.at(-1)).toBe('ended')
    expect(reports).toMatchObject([{ jobId: 'a', outcome: 'failed' }])
  })
})
