import { signal } from '@preact/signals'
import type {
  ActorStatus,
  ActorView,
  EventEntry,
  InspectionEntry,
  InspectionFrame,
  SafeValue,
  StateValueView,
} from '../../../protocol/inspection.ts'

/** What happened that this page remembers; the oldest goes first. */
export const entriesMax = 6_000
/** Actors that have ended and are still shown. */
export const endedShownMax = 60

/** An actor as it stands now. */
export interface ActorState {
  readonly id: string
  readonly view: ActorView
  status: ActorStatus
  value: StateValueView | undefined
  context: SafeValue | undefined
  /** Why it ended. */
  because: SafeValue | undefined
  /** Number of the latest event. */
  seq: number
  atMs: number
  events: number
  /** How many before it failed, or played its part and ended, under the same name below the same parent. */
  generation: number
}

export type Link = 'connecting' | 'live' | 'lost' | 'ended'

/** How an actor stood at a moment. */
export interface Moment {
  readonly value: StateValueView | undefined
  readonly context: SafeValue | undefined
  readonly status: ActorStatus
  /** What led there; absent when it was there before anything was seen. */
  readonly entry: EventEntry | undefined
}

/** All that this page knows of the actors, as it was told. Changes at most as often as frames come. */
export function createStore() {
  const actors = new Map<string, ActorState>()
  /** Who stands in the place of one that ended: below it are now those that were below the other. */
  const heirs = new Map<string, string>()
  /** Those who have an heir: not in the tree any more, but their past can be looked at. */
  const replaced = new Map<string, ActorState>()
  /** Whoever was ever named, so that an event of one that is gone still says of whom it was. */
  const names = new Map<string, string>()
  let entries: InspectionEntry[] = []
  const version = signal(0)
  const run = signal('')
  const link = signal<Link>('connecting')
  const failure = signal('')
  const droppedEntries = signal(0)
  const actorsLeftOut = signal(0)

  const parentOf = ({ view }: ActorState): string | undefined => {
    let { parent } = view
    while (parent !== undefined && !actors.has(parent) && heirs.has(parent)) parent = heirs.get(parent)
    return parent
  }

  /** Its successor stands in its place, and says so when there was a reason to start it again. */
  const inherit = (view: ActorView): number => {
    let generation = 0
    for (const other of actors.values()) {
      if (other.status === 'active' || other.view.name !== view.name || parentOf(other) !== view.parent)
        continue
      // One that is one of many under the same name has no place of its own.
      if (other.view.source !== view.source) continue
      const isFailure = other.status === 'error' || other.view.systemId !== undefined
      generation = Math.max(generation, other.generation + (isFailure ? 1 : 0))
      actors.delete(other.id)
      heirs.set(other.id, view.id)
      replaced.set(other.id, other)
    }
    const [oldest] = heirs.keys()
    if (heirs.size > endedShownMax * 4 && oldest !== undefined) {
      heirs.delete(oldest)
      replaced.delete(oldest)
    }
    return generation
  }

  const add = (view: ActorView, atMs: number, seq: number): void => {
    const generation = inherit(view)
    names.set(view.id, view.systemId ?? view.name)
    const [first] = names.keys()
    if (names.size > entriesMax && first !== undefined) names.delete(first)
    const { status, value, context } = view
    actors.set(view.id, {
      id: view.id,
      view,
      status,
      value,
      context,
      because: undefined,
      seq,
      atMs,
      events: 0,
      generation,
    })
  }

  /** Takes an entry; one that leaves out its context gets it back. */
  const take = (entry: InspectionEntry): InspectionEntry => {
    const known = actors.get(entry.actor)
    switch (entry.kind) {
      case 'added':
        add(entry.view, entry.atMs, entry.seq)
        return entry
      case 'ended':
        if (known) Object.assign(known, { status: entry.status, because: entry.because, atMs: entry.atMs })
        // Work in code that went well leaves nothing to look at.
        if (known?.view.graph === undefined && entry.status !== 'error') actors.delete(entry.actor)
        return entry
      default: {
        if (!known) return entry
        known.seq = entry.seq
        known.atMs = entry.atMs
        known.events++
        if (entry.outcome !== 'taken') return entry
        if (entry.value !== undefined) known.value = entry.value
        if (entry.context !== undefined) known.context = entry.context
        return known.context === undefined ? entry : { ...entry, context: known.context }
      }
    }
  }

  const forget = (): void => {
    if (entries.length > entriesMax) entries = entries.slice(entries.length - Math.floor(entriesMax * 0.9))
    const ended = [...actors.values()].filter(({ status }) => status !== 'active')
    if (ended.length <= endedShownMax) return
    for (const { id } of ended.toSorted((a, b) => a.atMs - b.atMs).slice(0, ended.length - endedShownMax))
      actors.delete(id)
  }

  const momentsOf = (actor: string): readonly EventEntry[] =>
    entries.filter(
      (entry): entry is EventEntry =>
        entry.kind === 'event' && entry.actor === actor && entry.outcome === 'taken',
    )

  return {
    actors,
    version,
    run,
    link,
    failure,
    droppedEntries,
    actorsLeftOut,
    parentOf,
    /** Anybody who is remembered, in the tree or not. */
    get: (id: string): ActorState | undefined => actors.get(id) ?? replaced.get(id),
    /** Whoever stands in an actor's place now: itself, if nobody does. */
    heirOf: (id: string): string => {
      let heir = id
      while (!actors.has(heir)) {
        const next = heirs.get(heir)
        if (next === undefined) return id
        heir = next
      }
      return heir
    },
    nameOf: (id: string): string => names.get(id) ?? id,
    entries: (): readonly InspectionEntry[] => entries,
    take(frame: InspectionFrame): void {
      switch (frame.type) {
        case 'hello':
          if (frame.actors.length === 0 && actors.size > 0) {
            // Nobody is there any more: what was is worth more than an empty page.
            link.value = 'ended'
            break
          }
          actors.clear()
          heirs.clear()
          replaced.clear()
          entries = []
          // The past first: it names those who have ended by now.
          entries = frame.history.map(take)
          for (const [id, { status }] of actors) {
            if (status === 'active' && !frame.actors.some((view) => view.id === id)) actors.delete(id)
          }
          for (const view of frame.actors) {
            const known = actors.get(view.id)
            if (known) {
              const { status, value, context } = view
              Object.assign(known, { status, value, ...(context !== undefined && { context }) })
              actors.delete(view.id)
              actors.set(view.id, { ...known, view })
            } else add(view, frame.atMs, 0)
          }
          run.value = frame.run
          actorsLeftOut.value = frame.actorsLeftOut
          link.value = 'live'
          break
        case 'entries':
          entries = [...entries, ...frame.entries.map(take)]
          droppedEntries.value += frame.dropped
          break
        default:
          link.value = 'ended'
      }
      forget()
      version.value++
    },
    /** By its session, or by the name under which the system knows it. */
    find(name: string): ActorState | undefined {
      const known = actors.get(name) ?? replaced.get(name)
      if (known) return known
      const named = [...actors.values()].filter(({ view }) => view.systemId === name)
      return named.find(({ status }) => status === 'active') ?? named[0]
    },
    /** The moments of an actor that can be stepped through, the oldest first. */
    momentsOf,
    /** @param seq absent: now */
    momentOf(actor: string, seq: number | undefined): Moment | undefined {
      const known = actors.get(actor) ?? replaced.get(actor)
      if (seq === undefined) {
        const entry = momentsOf(actor).at(-1)
        return known && { value: known.value, context: known.context, status: known.status, entry }
      }
      const entry = momentsOf(actor).findLast((moment) => moment.seq <= seq)
      const ended = entries.find((other) => other.kind === 'ended' && other.actor === actor)
      const status = ended?.kind === 'ended' && ended.seq <= seq ? ended.status : 'active'
      return { value: entry?.value, context: entry?.context, status, entry }
    },
    /** Where everybody stood at a moment, as far as it was seen. */
    valuesAt(seq: number): ReadonlyMap<string, StateValueView> {
      const values = new Map<string, StateValueView>()
      for (const entry of entries) {
        if (entry.seq > seq) break
        if (entry.kind === 'event' && entry.value !== undefined) values.set(entry.actor, entry.value)
        else if (entry.kind === 'ended') values.delete(entry.actor)
      }
      return values
    },
  }
}

export type Store = ReturnType<typeof createStore>
