import type { AnyActorRef, AnyStateMachine } from 'xstate'
import type { ActorStatus, ActorView, SafeValue, StateValueView } from '../../protocol/inspection.ts'
import { isMachine, type GraphBook } from './machine-graph.ts'
import { toSafeName, toSafeValue } from './safe-value.ts'

/** Actors that are listed; more are counted. */
export const actorsListedMax = 2_000

/** Bytes of all contexts of one list; those of the others come with their next event. */
const contextBytesMax = 512 * 1024

/** What is read of any snapshot; every field may be missing or be anything. */
export interface SomeSnapshot {
  readonly status?: unknown
  readonly value?: unknown
  readonly context?: unknown
  readonly children?: unknown
  readonly output?: unknown
  readonly error?: unknown
}

/** The snapshot of an actor, read with care: one that is being made has none yet. */
export function snapshotOf(actor: AnyActorRef): SomeSnapshot {
  try {
    const snapshot: unknown = actor.getSnapshot()
    return typeof snapshot === 'object' && snapshot !== null ? snapshot : {}
  } catch {
    return {}
  }
}

export function toStatus({ status }: SomeSnapshot): ActorStatus {
  return status === 'done' || status === 'error' || status === 'stopped' ? status : 'active'
}

/** State values are made of the machine's own keys, as deep as the machine. */
export function toValueView(value: unknown): StateValueView | undefined {
  if (typeof value === 'string') return toSafeName(value)
  if (typeof value !== 'object' || value === null) return undefined
  const regions = Object.entries(value).flatMap(([region, inner]) => {
    const view = toValueView(inner)
    return view === undefined ? [] : [[toSafeName(region), view] as const]
  })
  return Object.fromEntries(regions)
}

export const toContextView = (snapshot: SomeSnapshot): SafeValue | undefined =>
  snapshot.context === undefined ? undefined : toSafeValue(snapshot.context)

export function childrenOf(actor: AnyActorRef): AnyActorRef[] {
  const { children } = snapshotOf(actor)
  if (typeof children !== 'object' || children === null) return []
  return Object.values(children).filter(
    (child): child is AnyActorRef => typeof child === 'object' && child !== null && 'sessionId' in child,
  )
}

/** The machine that an actor runs, if it runs one. */
export function machineOf(actor: AnyActorRef): AnyStateMachine | undefined {
  const logic: unknown = 'logic' in actor ? actor.logic : undefined
  return isMachine(logic) ? logic : undefined
}

/** An actor as it is known for all its life; how it stands changes. */
export function toActorView(
  actor: AnyActorRef,
  graphs: GraphBook,
  snapshot: SomeSnapshot = snapshotOf(actor),
): ActorView {
  const machine = machineOf(actor)
  const source =
    machine?.id ?? (typeof actor.src === 'string' && actor.src !== '' ? actor.src : kindOf(snapshot))
  const systemId: unknown = 'systemId' in actor ? actor.systemId : undefined
  const parent = actor._parent
  const value = machine && toValueView(snapshot.value)
  const context = toContextView(snapshot)
  return {
    id: actor.sessionId,
    ...(parent && { parent: parent.sessionId }),
    name: toSafeName(isGiven(actor) ? actor.id : source),
    ...(typeof systemId === 'string' && { systemId: toSafeName(systemId) }),
    source: toSafeName(source),
    ...(machine && { graph: graphs.idOf(machine) }),
    status: toStatus(snapshot),
    ...(value !== undefined && { value }),
    ...(context !== undefined && { context }),
  }
}

/** Whether somebody chose the id: XState calls the others by their session, or by the state that invoked them. */
const isGiven = ({ id, sessionId }: AnyActorRef): boolean => id !== sessionId && !/^\d+\./.test(id)

/** For logic that nobody named, what its snapshot looks like. */
const kindOf = (snapshot: SomeSnapshot): string => ('context' in snapshot ? 'transition' : 'logic')

/** Everyone below an actor and the actor itself, parents first. */
export function* walk(root: AnyActorRef): Generator<AnyActorRef> {
  // Not by recursion: a chain of actors can be longer than the stack.
  const waiting = [root]
  const seen = new Set<AnyActorRef>(waiting)
  for (let actor = waiting.pop(); actor; actor = waiting.pop()) {
    yield actor
    for (const child of childrenOf(actor).toReversed()) {
      if (seen.has(child)) continue
      seen.add(child)
      waiting.push(child)
    }
  }
}

/** Lists actors, so many of them with their contexts as fit. */
export function listActors(
  actors: Iterable<AnyActorRef>,
  graphs: GraphBook,
): { readonly actors: readonly ActorView[]; readonly actorsLeftOut: number } {
  const views: ActorView[] = []
  let bytes = 0
  let actorsLeftOut = 0
  for (const actor of actors) {
    if (views.length >= actorsListedMax) {
      actorsLeftOut++
      continue
    }
    const { context, ...view } = toActorView(actor, graphs)
    if (context === undefined || bytes >= contextBytesMax) {
      views.push(view)
      continue
    }
    bytes += JSON.stringify(context).length
    views.push({ ...view, context })
  }
  return { actors: views, actorsLeftOut }
}

/** What an actor ended with, in safe form: a text as a whole would be somebody's. */
export function toEndView(snapshot: SomeSnapshot): SafeValue | undefined {
  const end = toStatus(snapshot) === 'error' ? snapshot.error : snapshot.output
  if (end === undefined) return undefined
  return typeof end === 'string' ? `text of ${end.length} characters` : toSafeValue(end)
}
