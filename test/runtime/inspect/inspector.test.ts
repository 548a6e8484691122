import {
  type AnyActorRef,
  assign,
  createActor,
  createMachine,
  fromCallback,
  fromPromise,
  sendTo,
  setup,
  stopChild,
} from 'xstate'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { EventEntry, InspectionEntry, InspectionFrame } from '../../../protocol/inspection.ts'
import { Inspector, type InspectorBounds } from '../../../runtime/inspect/inspector.ts'

const lamp = setup({
  types: { events: {} as { type: 'press'; note?: string } | { type: 'break' } },
  actions: {
    burst: () => {
      throw new Error('a secret of the lamp')
    },
  },
}).createMachine({
  id: 'lamp',
  initial: 'off',
  states: {
    off: { on: { press: 'on' } },
    on: { on: { press: 'off', break: { actions: 'burst' } } },
  },
})

/** A house with a lamp, a bell in code, and rooms that come and go. */
const house = setup({
  types: {
    context: {} as { readonly visits: number },
    events: {} as
      | { type: 'visit' }
      | { type: 'room.open'; id: string }
      | { type: 'room.close'; id: string }
      | { type: 'burn' },
  },
  actors: {
    lamp,
    bell: fromCallback(() => {}),
    look: fromPromise(() => Promise.resolve('a word from inside')),
  },
}).createMachine({
  id: 'house',
  context: { visits: 0 },
  initial: 'empty',
  invoke: [
    { id: 'lamp', src: 'lamp', systemId: 'hall-lamp', onError: {} },
    { id: 'bell', src: 'bell' },
  ],
  on: {
    'room.open': {
      actions: assign(({ spawn, event }) => {
        spawn('lamp', { id: event.id })
        return {}
      }),
    },
    'room.close': { actions: stopChild(({ event }) => event.id) },
  },
  states: {
    empty: {
      on: {
        visit: {
          target: 'full',
          actions: [
            assign({ visits: ({ context }) => context.visits + 1 }),
            sendTo('lamp', { type: 'press' }),
          ],
        },
        burn: 'gone',
      },
    },
    full: { invoke: { src: 'look', onDone: 'empty' } },
    gone: { type: 'final' },
  },
})

/** The observers that XState keeps for a system; it tells nobody how many there are. */
function countObservers(actor: AnyActorRef): { readonly now: number } {
  const counted = { now: 0 }
  const { system } = actor
  const inspect = system.inspect.bind(system)
  vi.spyOn(system, 'inspect').mockImplementation((observer) => {
    const subscription = inspect(observer)
    counted.now++
    return {
      unsubscribe: () => {
        counted.now--
        subscription.unsubscribe()
      },
    }
  })
  return counted
}

function createRig(bounds: Partial<InspectorBounds> = {}) {
  const actor = createActor(house).start()
  const observers = countObservers(actor)
  const inspector = new Inspector(undefined, bounds)
  inspector.system = actor
  onTestFinished(() => {
    inspector.close()
    actor.stop()
  })
  return {
    actor,
    inspector,
    observers,
    /** A watcher that takes everything unless told otherwise, and what it got. */
    watch: () => {
      const frames: InspectionFrame[] = []
      const texts: string[] = []
      const watcher = { isDeaf: false }
      const inspection = inspector.watch({
        take: (json, frame) => {
          if (watcher.isDeaf) return false
          texts.push(json)
          frames.push(frame)
          return true
        },
      })
      const entries = (): InspectionEntry[] =>
        frames.flatMap((frame) =>
          frame.type === 'hello' ? frame.history : frame.type === 'entries' ? frame.entries : [],
        )
      return {
        inspection,
        watcher,
        frames,
        texts,
        entries,
        events: () => entries().filter((entry): entry is EventEntry => entry.kind === 'event'),
        /** Resolves with the next frame of entries. */
        next: async () => {
          const before = frames.length
          await expect.poll(() => frames.length).toBeGreaterThan(before)
        },
      }
    },
  }
}

const press = (actor: AnyActorRef): void => actor.system.get('hall-lamp')?.send({ type: 'press' })

describe('an inspector', () => {
  it('observes from the first watcher to the last, and at no other time', () => {
    const { inspector, observers, watch, actor } = createRig()
    expect(observers.now).toBe(0)
    expect(inspector.tree().actors).toHaveLength(3)
    expect(observers.now).toBe(0)
    const [one, two] = [watch(), watch()]
    expect(observers.now).toBe(1)
    one.inspection?.close()
    expect(observers.now).toBe(1)
    two.inspection?.close()
    two.inspection?.close()
    expect([observers.now, inspector.isAttached, inspector.watchers]).toEqual([0, false, 0])
    press(actor)
    expect(two.frames).toHaveLength(1)
    watch()
    expect(observers.now).toBe(1)
    inspector.close()
    expect(observers.now).toBe(0)
  })

  it('shows those who were there before it looked, with their names, sources and states', () => {
    const { inspector, watch, actor } = createRig()
    const [root, hall, bell] = inspector.tree().actors
    expect(root).toMatchObject({ name: 'house', source: 'house', value: 'empty', context: { visits: 0 } })
    expect(hall).toMatchObject({ name: 'lamp', systemId: 'hall-lamp', parent: actor.sessionId, value: 'off' })
    expect(bell).toMatchObject({ name: 'bell', source: 'bell', status: 'active' })
    expect(bell).not.toHaveProperty('graph')
    expect(inspector.graph(hall?.graph ?? '')?.root.states.map(({ key }) => key)).toEqual(['off', 'on'])
    expect(inspector.graph('nobodys')).toBeUndefined()
    const [hello] = watch().frames
    expect(hello).toMatchObject({ type: 'hello', actors: inspector.tree().actors, history: [] })
  })

  it('tells each event once, in the order of causes, with its transition, actions, time and state', async () => {
    const { actor, watch } = createRig()
    const seen = watch()
    actor.send({ type: 'visit' })
    await expect.poll(() => seen.events().length).toBeGreaterThanOrEqual(5)
    const names = seen.entries().map((entry) => (entry.kind === 'event' ? entry.event : entry.kind))
    expect(names.slice(0, 5)).toEqual(['visit', 'press', 'added', 'xstate.init', 'xstate.promise.resolve'])
    const [visit, pressed] = seen.events()
    expect(visit).toMatchObject({
      outcome: 'taken',
      value: 'full',
      context: { visits: 1 },
      edges: ['empty|visit|0'],
      us: expect.any(Number),
      waitUs: expect.any(Number),
    })
    expect(visit?.actions).toContain('xstate.sendTo')
    expect(visit).not.toHaveProperty('source')
    expect(pressed).toMatchObject({ source: actor.sessionId, value: 'on', edges: ['off|press|0'] })
    const numbers = seen.entries().map(({ seq }) => seq)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    // What the promise said is a text.
    expect(seen.texts.join('')).not.toContain('a word from inside')
  })

  it('does not repeat a context that has not changed', async () => {
    const { actor, watch } = createRig()
    const seen = watch()
    actor.send({ type: 'visit' })
    await expect.poll(() => seen.events().filter(({ value }) => value === 'empty')).toHaveLength(1)
    const ofHouse = seen.events().filter(({ actor: id }) => id === actor.sessionId)
    expect(ofHouse.map(({ context }) => context)).toEqual([{ visits: 1 }, undefined])
    // Neither does it to one who comes later.
    const later = watch()
      .events()
      .filter(({ actor: id }) => id === actor.sessionId)
    expect(later.map(({ context }) => context)).toEqual([{ visits: 1 }, undefined])
  })

  it('tells who comes, who goes and who fails, and forgets them', async () => {
    const { actor, inspector, watch } = createRig()
    const seen = watch()
    actor.send({ type: 'room.open', id: 'kitchen' })
    await seen.next()
    actor.send({ type: 'room.close', id: 'kitchen' })
    await seen.next()
    const [, added] = seen.entries().filter(({ kind }) => kind !== 'event' || kind)
    expect(added).toMatchObject({ kind: 'added', view: { name: 'kitchen', parent: actor.sessionId } })
    const ended = seen.entries().filter(({ kind }) => kind === 'ended')
    expect(ended).toMatchObject([{ actor: added?.actor, status: 'stopped' }])
    expect(inspector.tree().actors.map(({ name }) => name)).toEqual(['house', 'lamp', 'bell'])

    press(actor)
    actor.system.get('hall-lamp')?.send({ type: 'break' })
    await expect.poll(() => seen.entries().filter(({ kind }) => kind === 'ended')).toHaveLength(2)
    expect(seen.entries().findLast(({ kind }) => kind === 'ended')).toMatchObject({
      status: 'error',
      because: { error: 'Error' },
    })
    // The event that it failed in is told too, with the state that it was in.
    const last = seen.events().findLast(({ event }) => event === 'break')
    expect(last).toMatchObject({ outcome: 'taken', value: 'on', us: expect.any(Number) })
    expect(seen.texts.join('')).not.toContain('a secret of the lamp')
  })

  it('tells of an event that came too late', async () => {
    const { actor, watch } = createRig()
    const seen = watch()
    const hall = actor.system.get('hall-lamp') as AnyActorRef
    press(actor)
    hall.send({ type: 'break' })
    hall.send({ type: 'press' })
    await seen.next()
    hall.send({ type: 'press' })
    await seen.next()
    const presses = seen.events().filter(({ event }) => event === 'press')
    expect(presses.map(({ outcome }) => outcome)).toEqual(['taken', 'lost', 'lost'])
  })

  it('says goodbye when the root ends', async () => {
    const { actor, inspector, observers, watch } = createRig()
    const seen = watch()
    actor.send({ type: 'burn' })
    await expect.poll(() => seen.frames.at(-1)?.type).toBe('bye')
    expect([observers.now, inspector.watchers]).toEqual([0, 0])
    expect(inspector.tree().actors).toEqual([])
  })

  it('sends at most a frame in each interval, however much happens, and counts what did not fit', async () => {
    const { actor, watch } = createRig({ frameMs: 20, frameEntriesMax: 50 })
    const seen = watch()
    for (let count = 0; count < 1_000; count++) press(actor)
    await seen.next()
    expect(seen.frames).toHaveLength(2)
    expect(seen.frames[1]).toMatchObject({ type: 'entries', dropped: 949 })
    expect(seen.events()).toHaveLength(51)
    // The last one is always told, so that nobody takes what was for what is.
    expect(seen.events().at(-1)).toMatchObject({ seq: 1_000, value: 'off' })
    press(actor)
    await seen.next()
    // Numbers go on, so that a hole can be seen; the state is the true one.
    expect(seen.events().at(-1)).toMatchObject({ seq: 1_001, value: 'on' })
  })

  it('remembers a bounded past for whoever comes later, for a while', async () => {
    const { actor, inspector, watch } = createRig({
      history: { entriesMax: 10, bytesMax: 100_000 },
      lingerMs: 30,
    })
    const first = watch()
    for (let count = 0; count < 25; count++) press(actor)
    await first.next()
    const second = watch()
    expect(second.events().map(({ seq }) => seq)).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25])
    first.inspection?.close()
    second.inspection?.close()
    expect(watch().events()).toHaveLength(10)
    expect(inspector.remembered).toBe(10)
    inspector.close()
    expect(inspector.remembered).toBe(0)

    const last = watch()
    press(actor)
    await last.next()
    last.inspection?.close()
    await expect.poll(() => inspector.remembered).toBe(0)
  })

  it('remembers no more than it may when many say the same as before', async () => {
    const bytesMax = 20_000
    const list = Array.from({ length: 30 }, (_, index) => `word-${index}`)
    const child = createMachine({ id: 'child', context: { list }, on: { tick: {} } })
    const crowd = createMachine({
      invoke: Array.from({ length: 100 }, (_, index) => ({ id: `child-${index}`, src: child })),
    })
    const actor = createActor(crowd).start()
    onTestFinished(() => void actor.stop())
    const inspector = new Inspector(actor, { frameMs: 5, history: { entriesMax: 2_000, bytesMax } })
    onTestFinished(() => inspector.close())
    let frames = 0
    inspector.watch({ take: () => (frames += 1) > 0 })
    for (let round = 0; round < 2; round++) {
      for (const one of Object.values(actor.getSnapshot().children)) one.send({ type: 'tick' })
      const before = frames
      await expect.poll(() => frames).toBeGreaterThan(before)
    }
    let told = 0
    inspector.watch({
      take: (_, frame) => {
        if (frame.type === 'hello') told = JSON.stringify(frame.history).length
        return true
      },
    })
    expect(told).toBeGreaterThan(bytesMax / 2)
    expect(told).toBeLessThan(1.1 * bytesMax)
  })

  it('drops frames for one who does not read, and tells all anew when that one reads again', async () => {
    const { actor, watch } = createRig({ frameMs: 5 })
    const [slow, quick] = [watch(), watch()]
    slow.watcher.isDeaf = true
    for (let round = 0; round < 3; round++) {
      press(actor)
      await quick.next()
    }
    expect(slow.frames).toHaveLength(1)
    slow.inspection?.resume()
    expect(slow.frames).toHaveLength(1)
    slow.watcher.isDeaf = false
    slow.inspection?.resume()
    expect(slow.frames[1]).toMatchObject({ type: 'hello', framesDropped: expect.any(Number) })
    expect(slow.events()).toHaveLength(3)
    // Once is enough.
    slow.inspection?.resume()
    expect(slow.frames).toHaveLength(2)
    press(actor)
    await slow.next()
    expect(slow.frames[2]).toMatchObject({ type: 'entries' })
  })

  it('looks at everybody once for all watchers when it could not tell who came and went', async () => {
    const { actor, watch } = createRig({ frameMs: 5, frameEntriesMax: 2 })
    const [one, other] = [watch(), watch()]
    for (let count = 0; count < 10; count++) actor.send({ type: 'room.open', id: `room-${count}` })
    await other.next()
    const [first, second] = [one.frames[1], other.frames[1]]
    if (first?.type !== 'hello' || second?.type !== 'hello') throw new Error('everybody is told anew')
    expect(first.actors).toHaveLength(13)
    expect(first.actors).toBe(second.actors)
  })

  it('finds a statechart without reading what anybody keeps in mind', () => {
    let looks = 0
    const context = new Proxy({}, { ownKeys: () => ((looks += 1), []) })
    const actor = createActor(createMachine({ id: 'shy', context })).start()
    onTestFinished(() => void actor.stop())
    const inspector = new Inspector(actor)
    expect(inspector.graph('nobody')).toBeUndefined()
    expect(looks).toBe(0)
    const [{ graph = '' } = {}] = inspector.tree().actors
    expect(inspector.graph(graph)).toMatchObject({ machine: 'shy' })
    expect(looks).toBe(1)
  })

  it('has a bound of watchers', () => {
    const { inspector, watch } = createRig({ watchersMax: 2 })
    const [one] = [watch(), watch()]
    expect(watch().inspection).toBeUndefined()
    one?.inspection?.close()
    expect(watch().inspection).toBeDefined()
    expect(inspector.watchers).toBe(2)
  })

  it('an event that cannot be read harms neither the system nor the others', async () => {
    const { actor, watch } = createRig()
    const seen = watch()
    const hostile = Object.defineProperty({ type: 'visit' as const }, 'trap', {
      enumerable: true,
      get: () => {
        throw new Error('looked at')
      },
    })
    actor.send(hostile)
    expect(actor.getSnapshot().value).toBe('full')
    await seen.next()
    expect(seen.events()[0]).toMatchObject({ event: 'visit', value: 'full' })
  })

  it('names that are no texts, as programs without types give them, harm nobody', async () => {
    const untyped = (value: unknown): never => value as never
    const child = createMachine({ id: untyped(7), description: untyped({ by: 'nobody' }) })
    const actor = createActor(
      createMachine({
        invoke: { id: untyped(6), src: child },
        entry: assign(({ spawn }) => void spawn(child, { id: untyped(5) })),
        on: { go: { actions: untyped({ params: {} }) } },
      }),
    ).start()
    onTestFinished(() => void actor.stop())
    const inspector = new Inspector(actor)
    onTestFinished(() => inspector.close())
    const { actors } = inspector.tree()
    expect(actors.map(({ name, source }) => [name, source])).toEqual([
      ['(machine)', '(machine)'],
      ['5', '7'],
      ['6', '7'],
    ])
    expect(inspector.graph(actors[1]?.graph ?? '')).toMatchObject({ machine: '7' })
    const frames: InspectionFrame[] = []
    inspector.watch({ take: (_, frame) => frames.push(frame) > 0 })
    actor.send({ type: 'go' })
    await expect.poll(() => frames[1]).toMatchObject({ entries: [{ event: 'go', actions: ['unnamed'] }] })
  })

  it('an event that waits for its actor to be started is told when it was sent, and when it was taken', async () => {
    const { actor, watch } = createRig({ frameMs: 5 })
    const seen = watch()
    const late = createActor(lamp, { parent: actor })
    late.send({ type: 'press' })
    await seen.next()
    expect(seen.events()).toMatchObject([{ event: 'press', outcome: 'open' }])
    late.start()
    await expect.poll(() => seen.events()).toHaveLength(3)
    expect(seen.events()[2]).toMatchObject({
      event: 'press',
      outcome: 'taken',
      value: 'on',
      edges: ['off|press|0'],
    })
    const numbers = seen.entries().map(({ seq }) => seq)
    expect(new Set(numbers).size).toBe(numbers.length)
  })

  it('lists so many actors as a page can show, and counts the others', () => {
    const { actor, inspector } = createRig()
    for (let count = 0; count < 60; count++) actor.send({ type: 'room.open', id: `room-${count}` })
    expect(inspector.tree().actors).toHaveLength(63)
    expect(inspector.tree().actorsLeftOut).toBe(0)
  })
})
