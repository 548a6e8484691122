import type { AnyActorRef, AnyTransitionDefinition } from 'xstate'
import type { EndedEntry, EventEntry, SafeValue } from '../../protocol/inspection.ts'
import { toContextView, toEndView, toStatus, toValueView, type SomeSnapshot } from './actor-tree.ts'
import { toTransitionId } from './machine-graph.ts'
import { toSafeName, toSafeValue } from './safe-value.ts'

/** An event on its way through an actor: what the inspection says of it, not yet put into words. */
export interface OpenEvent {
  readonly kind: 'event'
  readonly seq: number
  readonly atMs: number
  /** Milliseconds of the monotonic clock. */
  readonly sentAt: number
  readonly actor: AnyActorRef
  readonly source: AnyActorRef | undefined
  readonly event: { readonly type: string }
  readonly isLost: boolean
  /** It is in a frame already: what comes of it later needs an entry of its own. */
  isTold: boolean
  transitions: AnyTransitionDefinition[] | undefined
  actions: string[] | undefined
  steppedAt: number | undefined
  startedAt: number | undefined
  endedAt: number | undefined
  snapshot: SomeSnapshot | undefined
}

/** The context that an actor was last seen with. */
export interface SeenContext {
  context: unknown
  view: SafeValue | undefined
  json: string | undefined
}

const toUs = (ms: number): number => Math.max(0, Math.round(ms * 10_000) / 10)

/** The fields of an event without its type. */
function toDetail(event: object): SafeValue | undefined {
  const view = toSafeValue(event)
  if (typeof view !== 'object' || view === null || Array.isArray(view)) return undefined
  const { type: _, ...detail } = view as { readonly [key: string]: SafeValue }
  return Object.keys(detail).length > 0 ? detail : undefined
}

/** Puts an event into words. What its actor was seen with is brought up to date. */
export function toEventEntry(open: OpenEvent, seen: SeenContext): EventEntry {
  const { seq, atMs, sentAt, actor, source, event, isLost, snapshot, startedAt, steppedAt, endedAt } = open
  const detail = toDetail(event)
  const value = snapshot && toValueView(snapshot.value)
  if (snapshot && snapshot.context !== seen.context) {
    const view = toContextView(snapshot)
    const json = JSON.stringify(view)
    seen.context = snapshot.context
    // Often another object says the same: it is then kept and told only once.
    if (json !== seen.json) Object.assign(seen, { view, json })
  }
  // What others do because of it comes after the last step of a machine and before its end.
  const doneAt = steppedAt ?? endedAt
  return {
    kind: 'event',
    seq,
    atMs,
    actor: actor.sessionId,
    event: toSafeName(event.type),
    ...(detail !== undefined && { detail }),
    ...(source && { source: source.sessionId }),
    outcome: isLost ? 'lost' : snapshot ? 'taken' : 'open',
    ...(value !== undefined && { value }),
    ...(snapshot && seen.view !== undefined && { context: seen.view }),
    ...(open.transitions && { edges: open.transitions.map(toTransitionId) }),
    ...(open.actions && { actions: open.actions.map((name) => toSafeName(name)) }),
    ...(startedAt !== undefined &&
      doneAt !== undefined && { us: toUs(doneAt - startedAt), waitUs: toUs(startedAt - sentAt) }),
  }
}

export function toEndedEntry(
  seq: number,
  atMs: number,
  actor: AnyActorRef,
  snapshot: SomeSnapshot,
): EndedEntry {
  const status = toStatus(snapshot)
  const because = toEndView(snapshot)
  return {
    kind: 'ended',
    seq,
    atMs,
    actor: actor.sessionId,
    status: status === 'active' ? 'stopped' : status,
    ...(because !== undefined && { because }),
  }
}
