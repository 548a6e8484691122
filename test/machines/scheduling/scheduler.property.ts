// The commands of the model assert.
/* oxlint-disable vitest/expect-expect */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createActor, SimulatedClock, type ActorRefFrom } from 'xstate'
import { describe, it } from 'vitest'
import { schedulerMachine, type SchedulerCommand } from '../../../machines/scheduling/scheduler.machine.ts'
import { contributors } from './contributors.ts'
import { SchedulerModel, toSaid } from './scheduler.model.ts'

const modelIds = ['small', 'large'] as const
const capacity = 10
/** So few that clients reach it, lost and ended requests not counted. */
const stepMs = 10

class Real {
  readonly clock = new SimulatedClock()
  readonly said: string[] = []
  /** For each request, when it was told to have moved and where to. */
  readonly moves = new Map<string, { readonly atMs: number; readonly position: number }[]>()
  readonly actor: ActorRefFrom<typeof schedulerMachine>

  constructor() {
    this.actor = createActor(schedulerMachine, {
      clock: this.clock,
      input: { nowMs: () => this.clock.now(), capacity },
    })
    this.actor.on('*', (emitted) => {
      const said = toSaid(emitted)
      if (said !== undefined) this.said.push(said)
      if (emitted.type !== 'request.moved') return
      const moves = this.moves.get(emitted.jobId) ?? []
      moves.push({ atMs: this.clock.now(), position: emitted.position })
      this.moves.set(emitted.jobId, moves)
    })
    this.actor.start()
  }
}

/** Deadlines that pass in one step may be told in any order. */
const sortedRuns = (said: readonly string[]): string[] => {
  const expired = said.filter((line) => line.startsWith('expired')).toSorted()
  return [...said.filter((line) => !line.startsWith('expired')), ...expired]
}

/** @param hasTicked whether the clock has just moved: what is told about positions holds at that moment. */
function compare(model: SchedulerModel, { actor, said, moves, clock }: Real, hasTicked = false): void {
  if (said.length > 0 || model.said.length > 0) assert.deepEqual(sortedRuns(said), sortedRuns(model.said))
  said.length = 0
  model.said = []
  const { scheduler } = actor.getSnapshot().context
  const slots = [...model.slots.values()]
  assert.deepEqual(scheduler.report(), {
    length: model.waiting.length,
    capacity: model.capacity,
    slotsBusy: slots.filter(({ running }) => running !== undefined).length,
    slots: slots.length,
  })
  for (const modelId of modelIds) {
    const line = model.lineOf(modelId)
    for (const [ahead, { jobId }] of line.entries()) assert.equal(scheduler.aheadOf(jobId), ahead)
    // Work-conserving: nobody waits beside a free slot.
    if (line.length > 0) {
      assert(!slots.some((slot) => slot.modelId === modelId && slot.running === undefined))
    }
  }
  for (const told of moves.values()) {
    const last = told.at(-1)
    const before = told.at(-2)
    if (last && before) assert(last.atMs - before.atMs >= 500)
  }
  if (!hasTicked) return
  for (const { jobId, modelId } of model.waiting) {
    const last = moves.get(jobId)?.at(-1)
    if (last?.atMs !== clock.now()) continue
    assert.equal(last.position, model.lineOf(modelId).findIndex((job) => job.jobId === jobId) + 1)
  }
}

class Step implements fc.Command<SchedulerModel, Real> {
  readonly #name: string
  readonly #apply: (model: SchedulerModel, real: Real) => SchedulerCommand | undefined
  constructor(name: string, apply: (model: SchedulerModel, real: Real) => SchedulerCommand | undefined) {
    this.#name = name
    this.#apply = apply
  }
  check = () => true
  run(model: SchedulerModel, real: Real): void {
    const command = this.#apply(model, real)
    if (command !== undefined) real.actor.send(command)
    compare(model, real)
  }
  toString = () => this.#name
}

let jobs = 0

const submit = fc
  .record({
    who: contributors,
    modelId: fc.constantFrom('small', 'small', 'large'),
    deadlineMs: fc.option(fc.integer({ min: 0, max: 3_000 }), { nil: undefined, freq: 3 }),
    again: fc.integer({ min: 0, max: 15 }),
  })
  .map(
    ({ who: { waitMs }, modelId, deadlineMs, again }) =>
      new Step(`submit(${waitMs} ms, ${modelId}, ${deadlineMs})`, (model) => {
        const twice = again === 0 ? model.waiting[0] : undefined
        const jobId = twice?.jobId ?? `job${jobs++}`
        const job = { jobId, modelId, waitMs, atMs: model.nowMs }
        model.submit({ ...job, expiresAtMs: model.nowMs + (deadlineMs ?? Infinity) })
        return { type: 'request.submit', ...job, promptTokens: 10, maxTokens: 20, deadlineMs }
      }),
  )

const cancel = fc.nat().map(
  (pick) =>
    new Step(`cancel(${pick})`, (model) => {
      const job = model.waiting[pick % Math.max(1, model.waiting.length)]
      model.waiting = model.waiting.filter((one) => one !== job)
      return { type: 'request.cancel', jobId: job?.jobId ?? 'nobody' }
    }),
)

const addSlot = fc.tuple(fc.constantFrom(...modelIds), fc.nat(2)).map(
  ([modelId, index]) =>
    new Step(`addSlot(${modelId}/${index})`, (model) => {
      const slotId = `${modelId}/${index}`
      model.addSlot(slotId, modelId)
      return { type: 'slot.added', slotId, modelId }
    }),
)

const freeSlot = fc.nat().map(
  (pick) =>
    new Step(`freeSlot(${pick})`, (model) => {
      const busy = [...model.slots].filter(([, { running }]) => running !== undefined)
      const [slotId, slot] = busy[pick % Math.max(1, busy.length)] ?? []
      if (slotId === undefined || slot === undefined) return undefined
      model.freeSlot(slot)
      return {
        type: 'slot.freed',
        slotId,
        atMs: model.nowMs,
        promptTokens: 10,
        completionTokens: 15,
        runMs: pick % 1_000,
      }
    }),
)

const removeSlot = fc.tuple(fc.constantFrom(...modelIds), fc.nat(2)).map(
  ([modelId, index]) =>
    new Step(`removeSlot(${modelId}/${index})`, (model) => {
      model.slots.delete(`${modelId}/${index}`)
      return { type: 'slot.removed', slotId: `${modelId}/${index}` }
    }),
)

const removeModel = fc.constantFrom(...modelIds).map(
  (modelId) =>
    new Step(`removeModel(${modelId})`, (model) => {
      for (const { jobId } of model.lineOf(modelId)) model.said.push(`refused ${jobId} QM_ENGINE_CRASHED`)
      model.waiting = model.waiting.filter((job) => job.modelId !== modelId)
      for (const [slotId, slot] of model.slots) if (slot.modelId === modelId) model.slots.delete(slotId)
      model.models.delete(modelId)
      return { type: 'model.gone', modelId, code: 'QM_ENGINE_CRASHED' }
    }),
)

const resize = fc.tuple(fc.nat(14), fc.integer({ min: 0, max: 5 })).map(
  ([places, refuses]) =>
    new Step(`resize(${places})`, (model) => {
      model.capacity = places
      model.accepting = refuses > 0
      return { type: 'capacity.changed', capacity: places, accepting: model.accepting }
    }),
)

const wait = fc.integer({ min: 1, max: 120 }).map(
  (steps) =>
    new Step(`wait(${steps * stepMs} ms)`, (model, real) => {
      for (let step = 0; step < steps; step++) {
        model.tick(stepMs)
        real.clock.increment(stepMs)
        compare(model, real, true)
      }
      return undefined
    }),
)

describe('scheduler machine', () => {
  it('does what the sorted list does, says the same in the same order, and idles no slot', () => {
    const commands = fc.commands(
      [
        // Often enough that the queue is full and somebody has to go.
        ...Array.from({ length: 10 }, () => submit),
        cancel,
        addSlot,
        freeSlot,
        freeSlot,
        removeSlot,
        removeModel,
        resize,
        wait,
        wait,
      ],
      { maxCommands: 60, size: 'max' },
    )
    fc.assert(
      fc.property(commands, fc.subarray([...modelIds], { minLength: 1 }), (cmds, there) => {
        const real = new Real()
        // Every history starts with a model that is there.
        const model = new SchedulerModel(capacity)
        for (const modelId of there) {
          model.addSlot(`${modelId}/0`, modelId)
          real.actor.send({ type: 'slot.added', slotId: `${modelId}/0`, modelId })
        }
        try {
          fc.modelRun(() => ({ model, real }), cmds)
        } finally {
          real.actor.stop()
        }
      }),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 150) },
    )
  })
})
