import { computed, signal } from '@preact/signals'
import type { EventEntry, InspectionEntry } from '../../../protocol/inspection.ts'
import { toHash, toPlace } from './address.ts'
import { eventText } from './format.ts'
import { createStore, type ActorState } from './store.ts'
import { withDescendants } from './tree-rows.ts'

/** Whose events are listed. */
export type Scope = 'actor' | 'below' | 'all'

/**
 * What a person is looking at: one actor, now or at a moment of its past. It outlives the view, so that whoever comes back
 * from another one finds it as it was.
 */
export const store = createStore()
/** Who was chosen by a person or an address; who stands in its place after a restart is shown. */
export const chosen = signal<string | undefined>(undefined)
/** The moment that is shown; undefined: now. */
export const pausedAt = signal<number | undefined>(undefined)
export const scope = signal<Scope>('below')
export const eventFilter = signal('')
export const treeFilter = signal('')
/** Rows of the tree that a person opened or closed. */
export const toggledRows = signal<ReadonlySet<string>>(new Set())
/** What the address asked for and nobody could give. */
export const missing = signal('')

/** A place that was asked for before anything was known. */
let wanted = toPlace('')

/** Now, it is whoever stands in the place of the one that was chosen; at a moment of the past, it is that one. */
const selected = computed<string | undefined>(() => {
  void store.version.value
  const id = chosen.value
  return id === undefined || pausedAt.value !== undefined ? id : store.heirOf(id)
})

export const actor = computed<ActorState | undefined>(() => {
  void store.version.value
  return selected.value === undefined ? undefined : store.get(selected.value)
})

export const moments = computed<readonly EventEntry[]>(() => {
  void store.version.value
  return selected.value === undefined ? [] : store.momentsOf(selected.value)
})

/** How the actor stands, at the moment that is shown. */
export const moment = computed(() => {
  void store.version.value
  return selected.value === undefined ? undefined : store.momentOf(selected.value, pausedAt.value)
})

/** How it stood one event earlier, to see what changed. */
export const momentBefore = computed(() => {
  const entry = moment.value?.entry
  return entry && selected.value !== undefined ? store.momentOf(selected.value, entry.seq - 1) : undefined
})

/** What is listed, the latest first. */
export const listed = computed<readonly InspectionEntry[]>(() => {
  void store.version.value
  const id = selected.value
  const words = eventFilter.value.toLowerCase().split(/\s+/).filter(Boolean)
  const ids = id === undefined || scope.value === 'all' ? undefined : withDescendants(store, id)
  const isWanted = (entry: InspectionEntry): boolean => {
    if (scope.value === 'actor' && entry.actor !== id) return false
    if (ids && !ids.has(entry.actor)) return false
    if (words.length === 0) return true
    const name = store.nameOf(entry.actor)
    const text =
      `${entry.kind === 'event' ? eventText(entry.event) : entry.kind} ${name} ${entry.actor}`.toLowerCase()
    return words.every((word) => text.includes(word))
  }
  return store.entries().filter(isWanted).toReversed()
})

/** The name that finds an actor again: the one that the system knows it by outlives a restart. */
const toName = (id: string): string => store.get(id)?.view.systemId ?? id

/** The address of an actor, or of one moment of it. */
export const placeHash = (id: string, seq?: number): string =>
  toHash({
    // A moment belongs to one life of an actor, and not to its successor's.
    actor: seq === undefined ? toName(id) : id,
    at: seq === undefined ? undefined : { run: store.run.value, seq },
  })

export function select(id: string): void {
  missing.value = ''
  if (chosen.value === id) return
  chosen.value = id
  history.pushState(null, '', placeHash(id, pausedAt.value))
}

/** Shows a moment, or, with none, what happens now. */
export function showMoment(seq: number | undefined, id = selected.value): void {
  missing.value = ''
  if (id !== undefined) chosen.value = id
  pausedAt.value = seq
  if (id !== undefined) history.replaceState(null, '', placeHash(id, seq))
}

/** Stops where things stand. */
export function pause(): void {
  const last = moments.value.at(-1)?.seq ?? store.entries().at(-1)?.seq
  if (last !== undefined) showMoment(last)
}

/** One moment of the actor back (−1) or forward (1); after the last one comes now. */
export function step(by: -1 | 1): void {
  const list = moments.value
  if (list.length === 0) return
  const at = pausedAt.value
  if (at === undefined) {
    if (by < 0) showMoment(list.at(-2)?.seq ?? list[0]?.seq)
    return
  }
  const index = list.findLastIndex(({ seq }) => seq <= at)
  const next = list[index + by]
  if (next) showMoment(next.seq)
  else if (by > 0) showMoment(undefined)
}

/** Goes where the address says, as soon as that is known. */
export function goTo(hash: string): void {
  wanted = toPlace(hash)
  arrive()
}

/** Called when something new is known. */
export function arrive(): void {
  if (store.actors.size === 0) return
  const { actor: name, at } = wanted
  if (at && at.run === store.run.value && store.entries().some(({ seq }) => seq >= at.seq)) {
    const oldest = store.entries()[0]?.seq ?? 0
    pausedAt.value = at.seq
    if (at.seq < oldest)
      missing.value = 'That moment is no longer remembered: this is the oldest one that is.'
  } else if (at) {
    missing.value =
      at.run === store.run.value
        ? 'That moment is no longer remembered: this is how things stand now.'
        : 'That moment is of another run of this node: this is how things stand now.'
    pausedAt.value = undefined
  } else if (name !== undefined) pausedAt.value = undefined
  const found = name === undefined ? undefined : store.find(name)
  if (found) chosen.value = found.id
  else if (name !== undefined) missing.value = `There is no actor "${name}" here now.`
  if (selected.value === undefined || !store.get(selected.value)) {
    chosen.value = [...store.actors.values()].find(({ view }) => view.parent === undefined)?.id
  }
  wanted = toPlace('')
}

/** A tree or a list row shows how things stood at the moment that is shown. */
export const valuesShown = computed(() => {
  void store.version.value
  return pausedAt.value === undefined ? undefined : store.valuesAt(pausedAt.value)
})
