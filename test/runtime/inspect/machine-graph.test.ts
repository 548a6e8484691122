import { readdirSync } from 'node:fs'
import { type AnyStateMachine, and, assign, createMachine, not, StateMachine } from 'xstate'
import { describe, expect, it } from 'vitest'
import type { GraphState } from '../../../protocol/inspection.ts'
import { GraphBook, toMachineGraph } from '../../../runtime/inspect/machine-graph.ts'

const folder = new URL('../../../machines/', import.meta.url)
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.machine.ts'))
  .toSorted()

/** Counted by another way than the graph's: as the machine was written. */
interface Written {
  readonly states?: Readonly<Record<string, Written>>
  readonly on?: Readonly<Record<string, unknown>>
  readonly after?: Readonly<Record<string, unknown>>
  readonly always?: unknown
  readonly onDone?: unknown
  readonly invoke?: Invoked | readonly Invoked[]
}
type Invoked = { readonly onDone?: unknown; readonly onError?: unknown; readonly onSnapshot?: unknown }

const listOf = (given: unknown): readonly unknown[] =>
  given === undefined ? [] : Array.isArray(given) ? given : [given]
const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

const countStates = ({ states = {} }: Written): number => 1 + sum(Object.values(states).map(countStates))
const countTransitions = ({ states = {}, on = {}, after = {}, always, onDone, invoke }: Written): number => {
  const invoked = (listOf(invoke) as readonly Invoked[]).flatMap((child) => [
    child.onDone,
    child.onError,
    child.onSnapshot,
  ])
  const given = [...Object.values(on), ...Object.values(after), always, onDone, ...invoked]
  return sum([...given.map((one) => listOf(one).length), ...Object.values(states).map(countTransitions)])
}

const statesOf = (state: GraphState): GraphState[] => [state, ...state.states.flatMap(statesOf)]

const toGraph = (machine: unknown) => toMachineGraph(machine as AnyStateMachine)

describe('the graph of a machine', () => {
  it.each(files)('%s has every state and every transition once', async (file) => {
    const exports = (await import(new URL(file, folder).href)) as Record<string, unknown>
    const machine = Object.values(exports).find((value) => value instanceof StateMachine)
    if (!machine) throw new Error(`${file} exports no machine`)
    const graph = toGraph(machine)
    const states = statesOf(graph.root).map(({ id }) => id)
    const transitions = graph.transitions.map(({ id }) => id)
    const written = machine.config as Written
    expect(states).toHaveLength(countStates(written))
    expect(transitions).toHaveLength(countTransitions(written))
    expect(new Set(states).size).toBe(states.length)
    expect(new Set(transitions).size).toBe(transitions.length)
    for (const { source, targets } of graph.transitions)
      for (const id of [source, ...targets]) expect(states).toContain(id)
    for (const { type, initial } of statesOf(graph.root))
      if (type === 'compound') expect(states).toContain(initial)
  })

  it('says what a person wants to know of each transition', () => {
    const graph = toGraph(
      createMachine({
        id: 'door',
        initial: 'shut',
        states: {
          shut: {
            entry: 'light',
            invoke: { src: 'watchman', onDone: 'open', onError: 'gone' },
            on: {
              push: { guard: and(['isUnlocked', not('isStuck')]), target: 'open', actions: 'creak' },
              kick: {},
            },
          },
          open: { after: { 500: 'shut', slow: 'gone' }, always: { guard: 'isBroken', target: 'gone' } },
          gone: { type: 'final' },
        },
      }),
    )
    const told = graph.transitions.map(({ source, targets, event, kind, guard, actions }) => [
      source,
      event,
      kind,
      guard,
      actions.join(),
      targets.join(),
    ])
    expect(told).toEqual([
      ['shut', 'push', 'event', 'isUnlocked and not isStuck', 'creak', 'open'],
      ['shut', 'kick', 'event', undefined, '', ''],
      ['shut', 'done child', 'done', undefined, '', 'open'],
      ['shut', 'error child', 'error', undefined, '', 'gone'],
      ['open', 'after 500 ms', 'after', undefined, '', 'shut'],
      ['open', 'after slow', 'after', undefined, '', 'gone'],
      ['open', 'always', 'always', 'isBroken', '', 'gone'],
    ])
    const [, shut, open] = statesOf(graph.root)
    expect(shut).toMatchObject({ entry: ['light'], invokes: ['watchman'] })
    // What XState adds to count a delay down is no action of the program.
    expect(open).toMatchObject({ entry: [], exit: [] })
  })

  it('is the same for a machine that was provided with other code, and is kept once', () => {
    const machine = createMachine({ id: 'one', initial: 'a', states: { a: { entry: 'act' } } })
    const other = createMachine({ id: 'two', initial: 'a', states: { a: {} } })
    const book = new GraphBook(2)
    const ids = Array.from({ length: 50 }, () => book.idOf(machine.provide({ actions: { act: () => {} } })))
    expect(new Set(ids)).toEqual(new Set([book.idOf(machine)]))
    book.idOf(other)
    expect(book.size).toBe(2)
    book.idOf(createMachine({ id: 'three', context: { n: 0 }, entry: assign({ n: 1 }) }))
    expect(book.size).toBe(2)
    // One that had to go is drawn again when it is asked for.
    expect(book.get(book.idOf(machine))?.machine).toBe('one')
  })
})
