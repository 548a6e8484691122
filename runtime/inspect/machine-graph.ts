import { createHash } from 'node:crypto'
import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate'
import type { GraphState, GraphTransition, MachineGraph } from '../../protocol/inspection.ts'
import { toSafeName } from './safe-value.ts'

/** By its looks and not by its class: an embedding service may have an XState of its own. */
export const isMachine = (logic: unknown): logic is AnyStateMachine =>
  typeof logic === 'object' &&
  logic !== null &&
  'root' in logic &&
  typeof logic.root === 'object' &&
  logic.root !== null &&
  'states' in logic.root &&
  'config' in logic

const idOf = ({ path }: AnyStateNode): string => path.map(toSafeName).join('.')

type EventKind = Pick<GraphTransition, 'event' | 'kind'>

function toEvent(eventType: string): EventKind {
  if (eventType === '') return { event: 'always', kind: 'always' }
  const after = /^xstate\.after\.([^.]+)\./.exec(eventType)?.[1]
  if (after !== undefined)
    return { event: /^\d+$/.test(after) ? `after ${after} ms` : `after ${after}`, kind: 'after' }
  if (eventType.startsWith('xstate.done.state.')) return { event: 'done', kind: 'done' }
  const ended = /^xstate\.(done|error)\.actor\.(.*)$/.exec(eventType)
  if (ended) {
    const kind = ended[1] === 'done' ? 'done' : 'error'
    return { event: toSafeName(`${kind} ${toInvokeName(ended[2] ?? '')}`), kind }
  }
  return { event: eventType === '*' ? 'any event' : toSafeName(eventType), kind: 'event' }
}

/** `0.gateway.listening` is what XState calls a child that nobody named. */
const toInvokeName = (id: unknown): string => String(id).replace(/^\d+\..*$/, 'child')

/** The name of a guard or an action, as far as it has one. */
function toName(part: unknown, unnamed: string): string {
  if (typeof part === 'string') return toSafeName(part)
  if (typeof part === 'function' || (typeof part === 'object' && part !== null)) {
    if ('check' in part && 'guards' in part && Array.isArray(part.guards)) {
      const inner = part.guards.map((guard) => toName(guard, unnamed))
      const word = typeof part.check === 'function' ? part.check.name : ''
      if (/not/i.test(word)) return `not ${inner.join(' ')}`
      return inner.join(/or/i.test(word) ? ' or ' : ' and ')
    }
    const type: unknown = 'type' in part ? part.type : 'name' in part ? part.name : ''
    if (typeof type === 'string' && type !== '') return toSafeName(type.replace(/^xstate\./, ''))
  }
  return unnamed
}

/** XState starts and ends a delay by actions of its own; the arrow of the delay says it already. */
function isOfDelay(action: unknown): boolean {
  if (typeof action !== 'function') return false
  const ids = [
    'id' in action && action.id,
    'sendId' in action && action.sendId,
    'event' in action &&
      typeof action.event === 'object' &&
      action.event &&
      'type' in action.event &&
      action.event.type,
  ]
  return ids.some((id) => typeof id === 'string' && id.startsWith('xstate.after.'))
}

const toNames = (actions: readonly unknown[]): string[] =>
  actions.filter((action) => !isOfDelay(action)).map((action) => toName(action, 'action'))

/** The id of one transition: what its definition and what an inspection says of it are the same object or the same place. */
export function toTransitionId(transition: AnyTransitionDefinition): string {
  const { source, eventType } = transition
  const siblings = eventType === '' ? (source.always ?? []) : (source.transitions.get(eventType) ?? [])
  return `${idOf(source)}|${eventType}|${siblings.indexOf(transition)}`
}

function toTransition(transition: AnyTransitionDefinition): GraphTransition {
  const { guard, target, actions, reenter, source } = transition
  return {
    id: toTransitionId(transition),
    source: idOf(source),
    targets: (target ?? []).map(idOf),
    ...toEvent(transition.eventType),
    ...(guard !== undefined && { guard: toName(guard, 'guarded') }),
    actions: toNames(actions),
    ...(reenter && { isReentering: true }),
  }
}

function toState(node: AnyStateNode): GraphState {
  const [initial] = node.type === 'compound' ? node.initial.target : []
  return {
    id: idOf(node),
    key: toSafeName(node.path.length === 0 ? node.machine.id : node.key),
    type: node.type,
    ...(initial && { initial: idOf(initial) }),
    entry: toNames(node.entry),
    exit: toNames(node.exit),
    invokes: node.invoke.map(({ id, src }) =>
      toInvokeName(id) === 'child' && typeof src === 'string'
        ? toSafeName(src)
        : toSafeName(toInvokeName(id)),
    ),
    ...(typeof node.description === 'string' && { description: node.description.slice(0, 500) }),
    states: Object.values(node.states).map(toState),
  }
}

function transitionsOf(node: AnyStateNode): GraphTransition[] {
  const own = [...[...node.transitions.values()].flat(), ...(node.always ?? [])]
  return [...own.map(toTransition), ...Object.values(node.states).flatMap(transitionsOf)]
}

/** A machine's definition as states and transitions. Two machines that look the same have the same id. */
export function toMachineGraph(machine: AnyStateMachine): MachineGraph {
  const name = toSafeName(machine.id)
  const body = { machine: name, root: toState(machine.root), transitions: transitionsOf(machine.root) }
  const digest = createHash('sha256').update(JSON.stringify(body)).digest('hex').slice(0, 10)
  return { id: `${name.replaceAll(/[^\w.-]/g, '_').slice(0, 60)}-${digest}`, ...body }
}

/** Statecharts by their ids; a machine is drawn once, however many actors run it. */
export class GraphBook {
  readonly #max: number
  readonly #byId = new Map<string, MachineGraph>()
  /** `provide` makes a machine of its own for each actor; what was configured stays the same object. */
  readonly #idOfConfig = new WeakMap<object, string>()

  constructor(max = 256) {
    this.#max = max
  }

  get size(): number {
    return this.#byId.size
  }

  get(id: string): MachineGraph | undefined {
    return this.#byId.get(id)
  }

  /** The id of a machine's statechart, which can be had under it from now on. */
  idOf(machine: AnyStateMachine): string {
    const config: object = machine.config
    const known = this.#idOfConfig.get(config)
    if (known !== undefined && this.#byId.has(known)) return known
    const graph = toMachineGraph(machine)
    this.#idOfConfig.set(config, graph.id)
    // The one that was drawn first goes first: it is drawn again when somebody asks for its actor's.
    const [oldest] = this.#byId.keys()
    if (this.#byId.size >= this.#max && oldest !== undefined) this.#byId.delete(oldest)
    this.#byId.set(graph.id, graph)
    return graph.id
  }
}
