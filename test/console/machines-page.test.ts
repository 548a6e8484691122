import { readdirSync } from 'node:fs'
import ElkModule from 'elkjs/lib/elk.bundled.js'
import type { ELK } from 'elkjs/lib/elk-api.js'
import { type AnyStateMachine, createMachine, StateMachine } from 'xstate'
import { describe, expect, it } from 'vitest'
import { toHash, toPlace } from '../../console/views/machines/address.ts'
import { activeStates, durationText, eventText, valueText } from '../../console/views/machines/format.ts'
import { toArrows } from '../../console/views/machines/graph-text.ts'
import { layOut, toPath, type StateBox } from '../../console/views/machines/layout.ts'
import { createStore, endedShownMax, entriesMax } from '../../console/views/machines/store.ts'
import { toRows, withDescendants } from '../../console/views/machines/tree-rows.ts'
import type {
  ActorView,
  EventEntry,
  HelloFrame,
  InspectionEntry,
  MachineGraph,
} from '../../protocol/inspection.ts'
import { toMachineGraph } from '../../runtime/inspect/machine-graph.ts'

const folder = new URL('../../machines/', import.meta.url)
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.machine.ts'))
  .toSorted()

const elk = new (ElkModule as unknown as new () => ELK)()
const measure = (text: string, kind: 'name' | 'line'): number => text.length * (kind === 'name' ? 8 : 6.5)

const overlap = (a: StateBox, b: StateBox): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
const holds = (outer: StateBox, inner: StateBox): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height
const parentId = (id: string): string => (id.includes('.') ? id.slice(0, id.lastIndexOf('.')) : '')

describe('the picture of a machine', () => {
  it.each(files)(
    'of %s shows every state in its parent and beside its siblings, and every arrow',
    async (file) => {
      const exports = (await import(new URL(file, folder).href)) as Record<string, unknown>
      const machine = Object.values(exports).find((value) => value instanceof StateMachine)
      const graph = toMachineGraph(machine as unknown as AnyStateMachine)
      const { boxes, arrows, width, height } = await layOut(graph, elk, measure)
      const byId = new Map(boxes.map((box) => [box.id, box]))
      for (const box of boxes) {
        expect(box.x + box.width).toBeLessThanOrEqual(width)
        expect(box.y + box.height).toBeLessThanOrEqual(height)
        const outer = byId.get(parentId(box.id))
        if (box.id !== '') expect([box.id, outer && holds(outer, box)]).toEqual([box.id, true])
        for (const other of boxes) {
          if (other !== box && box.id !== '' && other.id !== '' && parentId(other.id) === parentId(box.id))
            expect([box.id, other.id, overlap(box, other)]).toEqual([box.id, other.id, false])
        }
      }
      const drawn = arrows.flatMap(({ arrow }) => arrow?.transitions ?? [])
      const moving = graph.transitions.filter(({ targets }) => targets.length > 0)
      expect(new Set(drawn)).toEqual(new Set(moving.map(({ id }) => id)))
      for (const { points } of arrows) expect(points.length).toBeGreaterThan(1)
      // Transitions that stay are named in their state.
      const staying = graph.transitions.filter(({ targets }) => targets.length === 0).map(({ id }) => id)
      expect(new Set(boxes.flatMap(({ lines }) => lines.flatMap(({ transitions }) => transitions)))).toEqual(
        new Set(staying),
      )
    },
  )

  it('can be made of the small machine at which the library’s compaction fails', async () => {
    const lamp = createMachine({
      id: 'm',
      initial: 'a',
      states: { a: { on: { go: { target: 'b', actions: 'xstate.assign' } } }, b: { on: { go: 'a' } } },
    })
    let tries = 0
    const counted: Pick<ELK, 'layout'> = {
      layout: async (page) => {
        tries++
        return elk.layout(page)
      },
    }
    const { boxes, arrows } = await layOut(toMachineGraph(lamp), counted, measure)
    expect(tries).toBe(2)
    expect(boxes.map(({ id }) => id)).toEqual(['', 'a', 'b'])
    expect(arrows.map(({ points }) => points.length > 1)).toEqual([true, true, true])
  })

  it('has one arrow for all transitions between the same two states', () => {
    const transition = { kind: 'event', actions: [], source: 'a', targets: ['b'] } as const
    const graph: MachineGraph = {
      id: 'x',
      machine: 'x',
      root: { id: '', key: 'x', type: 'compound', entry: [], exit: [], invokes: [], states: [] },
      transitions: [
        { ...transition, id: '1', event: 'go' },
        { ...transition, id: '2', event: 'go' },
        { ...transition, id: '3', event: 'run', guard: 'isFast' },
        { ...transition, id: '4', event: 'back', source: 'b', targets: ['a'] },
      ],
    }
    expect(toArrows(graph).map(({ lines }) => lines)).toEqual([
      [
        { text: 'go', transitions: ['1', '2'] },
        { text: 'run [isFast]', transitions: ['3'] },
      ],
      [{ text: 'back', transitions: ['4'] }],
    ])
  })

  it('has lines with round corners', () => {
    expect(toPath([])).toBe('')
    expect(toPath([{ x: 0, y: 0 }, { x: 0, y: 20 }, { x: 30, y: 20 }], 5)).toBe('M0 0L0 15Q0 20 5 20L30 20') // prettier-ignore
  })
})

describe('words', () => {
  it('of states, events and times', () => {
    expect(valueText({ running: { reach: 'online', search: { deep: 'waiting' } } })).toBe(
      'running.{reach.online, search.deep.waiting}',
    )
    expect([...activeStates({ a: { b: 'c', d: {} } })]).toEqual(['', 'a', 'a.b', 'a.b.c', 'a.d'])
    expect([...activeStates(undefined)]).toEqual([])
    expect(
      [
        'xstate.init',
        'xstate.after.500.a.b',
        'xstate.done.actor.0.duty.watch.looking',
        'xstate.error.actor.job',
        'go',
      ].map(eventText),
    ).toEqual(['start', 'after 500 ms', 'done in looking', 'error job', 'go'])
    expect([undefined, 0.42, 85.4, 4_321, 250_000].map(durationText)).toEqual([
      '',
      '0.4 µs',
      '85 µs',
      '4.3 ms',
      '250 ms',
    ])
  })

  it('of addresses', () => {
    const place = { actor: 'x:12', at: { run: '5f2c', seq: 1_234 } }
    expect(toHash(place)).toBe('#/machines/x:12?at=5f2c.1234')
    expect(toPlace(toHash(place))).toEqual(place)
    expect(toPlace(toHash({ actor: 'a/b?c', at: undefined }))).toEqual({ actor: 'a/b?c', at: undefined })
    for (const odd of ['', '#/mesh', '#/machines', '#/machines/', '#/machines/%E0%A4%A', '#/machines?at=x'])
      expect(toPlace(odd)).toEqual({ actor: undefined, at: undefined })
  })
})

const view = (id: string, more: Partial<ActorView> = {}): ActorView => ({
  id,
  name: id,
  source: 'm',
  graph: 'm-1',
  status: 'active',
  value: 'idle',
  ...more,
})
const hello = (actors: readonly ActorView[], history: readonly InspectionEntry[] = []): HelloFrame => ({
  type: 'hello',
  run: 'r1',
  atMs: 0,
  actors,
  actorsLeftOut: 0,
  history,
  framesDropped: 0,
})
let seq = 0
const event = (actor: string, value: string, more: Partial<EventEntry> = {}): EventEntry => ({
  kind: 'event',
  seq: ++seq,
  atMs: seq,
  actor,
  event: 'go',
  outcome: 'taken',
  value,
  ...more,
})
const added = (it: ActorView): InspectionEntry => ({
  kind: 'added',
  seq: ++seq,
  atMs: seq,
  actor: it.id,
  view: it,
})
const ended = (actor: string, status: 'done' | 'error' | 'stopped'): InspectionEntry => ({
  kind: 'ended',
  seq: ++seq,
  atMs: seq,
  actor,
  status,
})
const entries = (...list: InspectionEntry[]) => ({ type: 'entries' as const, entries: list, dropped: 0 })

describe('what the page knows', () => {
  it('follows each actor, and can show it as it was at any moment', () => {
    const store = createStore()
    store.take(hello([view('a'), view('b', { parent: 'a' })]))
    const first = event('a', 'busy', { context: { n: 1 } })
    const beside = event('b', 'busy')
    const second = event('a', 'idle')
    const third = event('a', 'busy', { context: { n: 2 } })
    store.take(entries(first, beside, second, third))
    expect(store.momentOf('a', undefined)).toMatchObject({
      value: 'busy',
      context: { n: 2 },
      entry: { seq: third.seq },
    })
    // A context that was left out is the one before.
    expect(store.momentOf('a', second.seq)).toMatchObject({ value: 'idle', context: { n: 1 } })
    expect(store.momentOf('a', third.seq - 1)).toMatchObject({ value: 'idle' })
    expect(store.momentOf('a', first.seq - 1)).toMatchObject({ value: undefined, entry: undefined })
    expect(store.valuesAt(second.seq).get('a')).toBe('idle')
    expect([...withDescendants(store, 'a')]).toEqual(['a', 'b'])
  })

  it('shows an actor that failed, and its successor in its place', () => {
    const store = createStore()
    store.take(hello([view('root'), view('x:1', { parent: 'root', name: 'part', systemId: 'part' })]))
    store.take(entries(added(view('x:2', { parent: 'x:1', name: 'job' })), ended('x:1', 'error')))
    expect(toRows(store, new Set(), '').map(({ actor }) => [actor.view.name, actor.status])).toEqual([
      ['root', 'active'],
      ['part', 'error'],
    ])
    store.take(entries(added(view('x:3', { parent: 'root', name: 'part', systemId: 'part' }))))
    expect(store.find('part')).toMatchObject({ id: 'x:3', generation: 1, status: 'active' })
    // What was below the first is below its successor.
    expect(toRows(store, new Set(), '').map(({ actor, depth }) => [actor.id, depth])).toEqual([
      ['root', 0],
      ['x:3', 1],
      ['x:2', 2],
    ])
    expect(store.nameOf('x:1')).toBe('part')
    // The first can still be looked at.
    expect([store.heirOf('x:1'), store.heirOf('root'), store.heirOf('nobody')]).toEqual([
      'x:3',
      'root',
      'nobody',
    ])
    expect(store.get('x:1')).toMatchObject({ status: 'error' })
  })

  it('keeps a bounded past', () => {
    const store = createStore()
    store.take(hello([view('a')]))
    for (let round = 0; round < 5; round++)
      store.take(entries(...Array.from({ length: entriesMax / 2 }, () => event('a', 'busy'))))
    expect(store.entries().length).toBeLessThanOrEqual(entriesMax)
    expect(store.entries().at(-1)?.seq).toBe(seq)
    for (let count = 0; count < endedShownMax * 3; count++)
      store.take(entries(added(view(`j${count}`, { parent: 'a' })), ended(`j${count}`, 'done')))
    expect(store.actors.size).toBe(endedShownMax + 1)
  })

  it('takes everything anew after it was cut off, but does not forget for an empty system', () => {
    const store = createStore()
    store.take(hello([view('a'), view('gone')]))
    store.take(hello([view('a', { value: 'busy' }), view('new')], [event('a', 'busy')]))
    expect([...store.actors.keys()]).toEqual(['a', 'new'])
    expect(store.momentsOf('a')).toHaveLength(1)
    store.take(hello([]))
    expect([store.link.value, store.actors.size]).toEqual(['ended', 2])
  })

  it('filters the tree by names and states, with those above what matches', () => {
    const store = createStore()
    store.take(
      hello([
        view('node'),
        view('swarm', { parent: 'node' }),
        view('peer-1', { parent: 'swarm', value: { connected: 'open' } }),
      ]),
    )
    const names = (filter: string, toggled: string[] = []) =>
      toRows(store, new Set(toggled), filter).map(({ actor }) => actor.id)
    expect(names('peer open')).toEqual(['node', 'swarm', 'peer-1'])
    expect(names('SWARM')).toEqual(['node', 'swarm'])
    expect(names('nobody')).toEqual([])
    expect(names('', ['swarm'])).toEqual(['node', 'swarm'])
  })
})
