import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addResident,
  createResidents,
  createStaying,
  planResidency,
  residentBytes,
  stepResidents,
  type ResidencyEvent,
  type ResidencyOrder,
  type Resident,
  type ResidentState,
} from '../../../machines/inference/index.ts'

/** Mostly those that may come or go: the others only stand in their way. */
const stateArbitrary = fc.oneof(
  { weight: 5, arbitrary: fc.constant<ResidentState>('ready') },
  { weight: 3, arbitrary: fc.constant<ResidentState>('unloaded') },
  {
    weight: 2,
    arbitrary: fc.constantFrom<ResidentState>('loading', 'held', 'unloading', 'recovering', 'failed'),
  },
)
/** Passed, or still to come. */
const instantArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constant(2_000) },
)
const manyRuns = { numRuns: 2_000 }

const residentArbitrary = (modelId: string) =>
  fc.record({
    modelId: fc.constant(modelId),
    bytes: fc.integer({ min: 1, max: 100 }),
    state: stateArbitrary,
    isPinned: fc.oneof(
      { weight: 3, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    running: fc.integer({ min: 0, max: 2 }),
    usedAtMs: fc.integer({ min: 0, max: 1_000 }),
    keepUntilMs: instantArbitrary,
    busyUntilMs: instantArbitrary,
  })

/** Any moment whose memory is not overdrawn already. */
const queryArbitrary = fc
  .record({
    residents: fc.tuple(...['a', 'b', 'c', 'd', 'e'].map(residentArbitrary)),
    spareBytes: fc.integer({ min: 0, max: 50 }),
    wanted: fc.shuffledSubarray(['a', 'b', 'c', 'd', 'e'], { minLength: 2 }),
  })
  .map(({ residents, spareBytes, wanted }) => ({
    residents: residents as readonly Resident[],
    wanted,
    budgetBytes: residentBytes(residents) + spareBytes,
    nowMs: 1_000,
  }))

describe('a plan of what is in memory', () => {
  it('never goes over the budget', () => {
    fc.assert(
      fc.property(queryArbitrary, (query) => {
        const { load } = planResidency(query)
        const after = query.residents.map((model) =>
          load.includes(model.modelId) ? { ...model, state: 'loading' as const } : model,
        )
        expect(residentBytes(after)).toBeLessThanOrEqual(query.budgetBytes)
      }),
      manyRuns,
    )
  })

  it('sends nobody away that is pinned, on its way, or has its time left', () => {
    fc.assert(
      fc.property(queryArbitrary, ({ residents, ...query }) => {
        for (const modelId of planResidency({ residents, ...query }).evict) {
          const model = residents.find((one) => one.modelId === modelId)
          if (model?.state === 'held') continue
          expect(model).toMatchObject({ state: 'ready', isPinned: false })
          expect(model?.keepUntilMs).toBeLessThanOrEqual(query.nowMs)
          if (model?.running) expect(model.busyUntilMs).toBeLessThanOrEqual(query.nowMs)
        }
      }),
      manyRuns,
    )
  })

  it('takes the idle ones first, each time the one that was used least recently', () => {
    fc.assert(
      fc.property(queryArbitrary, ({ residents, ...query }) => {
        const { evict } = planResidency({ residents, ...query })
        const mayGo = residents.filter(
          ({ state, isPinned, running, keepUntilMs, busyUntilMs }) =>
            state === 'ready' &&
            !isPinned &&
            keepUntilMs <= query.nowMs &&
            (running === 0 || busyUntilMs <= query.nowMs),
        )
        const gone = mayGo.filter(({ modelId }) => evict.includes(modelId))
        const stays = mayGo.filter(({ modelId }) => !evict.includes(modelId))
        for (const one of gone) {
          for (const other of stays) {
            const isIdle = (model: Resident): boolean => model.running === 0
            if (isIdle(one) === isIdle(other)) expect(one.usedAtMs).toBeLessThanOrEqual(other.usedAtMs)
            else expect(isIdle(one)).toBe(true)
          }
        }
      }),
      manyRuns,
    )
  })

  it('sends away enough for the first in line, or nobody', () => {
    fc.assert(
      fc.property(queryArbitrary, ({ residents, ...query }) => {
        const { evict } = planResidency({
          residents: residents.filter(({ state }) => state !== 'held'),
          ...query,
        })
        if (evict.length === 0) return
        const rest = residents.filter(({ state }) => state !== 'held')
        const wanted = query.wanted.flatMap((id) =>
          rest.filter(({ modelId, state }) => modelId === id && state === 'unloaded'),
        )
        const after = rest.map((model) =>
          evict.includes(model.modelId) || model.state === 'unloading'
            ? { ...model, state: 'unloaded' as const }
            : model,
        )
        const free = query.budgetBytes - residentBytes(after)
        expect(wanted.some(({ bytes }) => bytes <= free)).toBe(true)
      }),
      manyRuns,
    )
  })
})

/** One model's requests, as a scheduler keeps them. */
interface Line {
  waiting: number
  running: number
  isThere: boolean
  places: number
  turn: number | undefined
  isWanted: boolean
  /** Of those that waited when it was loaded, how many it has not been given. */
  owed: number
}

const names = ['a', 'b', 'c'] as const
const hash = 'a'.repeat(64)

const actionArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('ask' as const), id: fc.constantFrom(...names) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('end' as const), id: fc.constantFrom(...names) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('host' as const), id: fc.constantFrom(...names) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('cancel' as const), id: fc.constantFrom(...names) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('evict' as const), id: fc.constantFrom(...names) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('wait' as const), id: fc.constantFrom(...names) }) },
)

/** The models, a scheduler of paper and hosts that take their time, in any order of events. */
class World {
  readonly lines = new Map<string, Line>(
    names.map((id) => [
      id,
      { waiting: 0, running: 0, isThere: false, places: Infinity, turn: undefined, isWanted: false, owed: 0 },
    ]),
  )
  readonly hosts = new Map<string, 'loading' | 'unloading'>()
  nowMs = 0
  #models
  readonly #sizes: ReadonlyMap<string, number>
  readonly #budgetBytes: number
  readonly #isStaying: boolean

  /** @param pinned stays loaded, or, with `isStaying`, was loaded before the others came */
  constructor(sizes: readonly number[], budgetBytes: number, pinned: string | undefined, isStaying = false) {
    this.#budgetBytes = budgetBytes
    this.#isStaying = isStaying
    this.#sizes = new Map(names.map((id, index) => [id, sizes[index] ?? 1]))
    const specs = names.map((id) => ({
      id,
      path: `/${id}`,
      load: 'demand' as const,
      isPinned: id === pinned,
    }))
    if (isStaying) {
      this.#models = createStaying([{ spec: { id: 'a', path: '/a' }, threads: 4 }], 4, 0)
      this.hosts.set('a', 'loading')
      return
    }
    this.#models = createResidents(specs, { budgetBytes, mathCores: 4 })
    for (const [id, bytes] of this.#sizes)
      this.step({ type: 'model.surveyed', survey: { id, hash, contextTokens: 512, slots: 2, bytes } })
  }

  get residents() {
    return this.#models.residents
  }

  add(id: string): void {
    if (this.residents.some(({ modelId }) => modelId === id)) return
    this.#models = addResident(this.#models, { id, path: `/${id}` }, this.#budgetBytes)
    const bytes = this.#sizes.get(id) ?? 1
    this.step({ type: 'model.surveyed', survey: { id, hash, contextTokens: 512, slots: 2, bytes } })
  }

  /** Whether requests for it are let in. */
  isOffered(id: string): boolean {
    return this.residents.some(
      ({ modelId, state, isLeaving }) => modelId === id && state !== 'failed' && !isLeaving,
    )
  }

  line(id: string): Line {
    const line = this.lines.get(id)
    if (!line) throw new Error(`no line ${id}`)
    return line
  }

  step(event: ResidencyEvent): void {
    const { models, orders } = stepResidents(this.#models, event, this.nowMs)
    this.#models = models
    assert(residentBytes(models.residents) <= models.budgetBytes, 'it is over the budget')
    const threads = models.residents.map((model) => model.threads)
    const loaded = threads.filter((count) => count > 0).length
    const sum = threads.reduce((before, count) => before + count, 0)
    assert(sum <= Math.max(4, loaded), 'there are more threads than cores')
    for (const order of orders) this.#obey(order)
  }

  /** Gives out slots, and tells what has become true. */
  settle(id: string): void {
    const line = this.line(id)
    while (line.isThere && line.waiting > 0 && line.running < 2 && line.places > 0) {
      line.waiting--
      line.running++
      line.places--
      line.owed--
      this.step({ type: 'slot.run', slotId: `${id}/${line.running}` })
    }
    const isWanted = !line.isThere && line.waiting > 0
    if (isWanted !== line.isWanted) {
      line.isWanted = isWanted
      this.step({ type: isWanted ? 'model.want' : 'model.unwant', modelId: id })
    }
    const { turn } = line
    if (turn === undefined || line.running > 0 || (line.places > 0 && line.waiting > 0)) return
    this.step({ type: 'model.yielded', modelId: id, turn })
  }

  finishHost(id: string): void {
    const what = this.hosts.get(id)
    if (what === undefined) return
    this.hosts.delete(id)
    if (what === 'unloading') this.step({ type: 'model.unloaded', modelId: id })
    else {
      const line = this.line(id)
      line.isThere = true
      line.owed = line.waiting
      const model = {
        id,
        hash,
        contextTokens: 512,
        slots: 2,
        backend: 'cpu',
        threads: 1,
        memoryMb: this.#isStaying ? (this.#sizes.get(id) ?? 1) / 1024 ** 2 : 0,
      } as const
      this.step({ type: 'model.ready', model })
    }
    this.settle(id)
  }

  #obey(order: ResidencyOrder): void {
    switch (order.type) {
      case 'load':
        this.hosts.set(order.modelId, 'loading')
        return
      case 'unload': {
        const line = this.line(order.modelId)
        assert(line.running === 0, 'a model that works is unloaded')
        assert(line.owed <= 0, 'it went before those were served who waited for it')
        const model = this.residents.find(({ modelId }) => modelId === order.modelId)
        // The one of the start goes only to come back with its share of the cores, or for good.
        if (this.#isStaying && model?.isPinned) assert(model.threads > 1 || model.isLeaving)
        else assert(model?.isPinned === false, 'a pinned model is unloaded')
        line.isThere = false
        line.places = Infinity
        line.turn = undefined
        this.hosts.set(order.modelId, 'unloading')
        return
      }
      case 'hold': {
        const line = this.line(order.modelId)
        line.places = line.waiting
        line.turn = order.turn
        return
      }
      case 'refuse':
        // Who waits for it is told.
        if (this.#isStaying) Object.assign(this.line(order.modelId), { waiting: 0, isWanted: false })
        return
      case 'remove': {
        const line = this.line(order.modelId)
        assert(!line.isThere && line.running === 0, 'a model that is loaded is forgotten')
        Object.assign(line, { waiting: 0, isWanted: false, owed: 0 })
        return
      }
      case 'release': {
        const line = this.line(order.modelId)
        line.places = Infinity
        line.turn = undefined
      }
    }
  }
}

describe('models that come and go', () => {
  it('and that came after the start are served beside those that stay, and go for good when they are removed', () => {
    const late = fc.oneof(
      { weight: 5, arbitrary: actionArbitrary },
      {
        weight: 1,
        arbitrary: fc.record({
          type: fc.constantFrom('add' as const, 'remove' as const),
          id: fc.constantFrom(...names),
        }),
      },
    )
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 10, max: 60 }), { minLength: 3, maxLength: 3 }),
        fc.integer({ min: 60, max: 180 }),
        fc.array(late, { maxLength: 80 }),
        (sizes, budgetBytes, actions) => {
          const world = new World(sizes, budgetBytes, undefined, true)
          for (const { type, id } of actions) {
            const line = world.line(id)
            world.nowMs += 10
            if (type === 'add') world.add(id)
            if (type === 'remove') world.step({ type: 'model.remove', modelId: id })
            if (type === 'ask' && world.isOffered(id)) line.waiting++
            if (type === 'end' && line.running > 0) {
              line.running--
              world.step({ type: 'slot.freed', slotId: `${id}/1` })
            }
            if (type === 'host') world.finishHost(id)
            for (const name of names) world.settle(name)
          }
          for (let round = 0; round < 40; round++) {
            world.nowMs += 5_000
            for (const name of names) {
              world.finishHost(name)
              const line = world.line(name)
              while (line.running > 0) {
                line.running--
                world.step({ type: 'slot.freed', slotId: `${name}/1` })
              }
              world.step({ type: 'look' })
              for (const other of names) world.settle(other)
            }
          }
          for (const name of names) {
            const { waiting, running } = world.line(name)
            expect(waiting + running).toBe(0)
            expect(world.residents.some((model) => model.modelId === name && model.isLeaving)).toBe(false)
          }
        },
      ),
    )
  })

  it('are never over the budget, never taken from under a request, and everybody is served in the end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 10, max: 60 }), { minLength: 3, maxLength: 3 }),
        fc.integer({ min: 60, max: 120 }),
        fc.constantFrom('a', undefined),
        fc.array(actionArbitrary, { maxLength: 80 }),
        (sizes, budgetBytes, pinned, actions) => {
          const world = new World(sizes, budgetBytes, pinned)
          const canNever = new Set(
            world.residents.filter(({ state }) => state === 'failed').map(({ modelId }) => modelId),
          )
          for (const { type, id } of actions) {
            const line = world.line(id)
            world.nowMs += 10
            if (canNever.has(id)) continue
            if (type === 'ask') line.waiting++
            if (type === 'cancel') {
              line.waiting = Math.max(0, line.waiting - 1)
              line.owed = Math.min(line.owed, line.waiting)
            }
            if (type === 'end' && line.running > 0) {
              line.running--
              world.step({ type: 'slot.freed', slotId: `${id}/1` })
            }
            if (type === 'host') world.finishHost(id)
            // A pinned one that its owner sends away goes all the same: that is not decided here.
            if (type === 'evict' && id !== pinned) world.step({ type: 'model.evict', modelId: id })
            if (type === 'wait') world.step({ type: 'look' })
            for (const name of names) world.settle(name)
          }
          // Nobody comes any more: all that wait are served, a bounded number of loads later.
          for (let round = 0; round < 40; round++) {
            world.nowMs += 5_000
            for (const name of names) {
              world.finishHost(name)
              const line = world.line(name)
              while (line.running > 0) {
                line.running--
                world.step({ type: 'slot.freed', slotId: `${name}/1` })
              }
              world.step({ type: 'look' })
              for (const other of names) world.settle(other)
            }
          }
          expect([...world.lines.values()].map(({ waiting, running }) => waiting + running)).toEqual([
            0, 0, 0,
          ])
        },
      ),
    )
  })
})
