import type { AnyActorRef, InspectionEvent } from 'xstate'
import { snapshotOf, toStatus, type SomeSnapshot } from './actor-tree.ts'
import type { OpenEvent, SeenContext } from './entry-maker.ts'

/** Events of one actor that wait for their turn, as far as they are timed. */
const pendingMax = 64
/** Steps and actions of one event that are told. */
const stepsMax = 32

/** An actor for as long as it lives and is watched. */
interface Life {
  readonly actor: AnyActorRef
  /** In the order in which its mailbox gives them to it. */
  readonly pending: OpenEvent[]
  readonly seen: SeenContext
  /** When it had done with the event before. */
  idleAt: number
  isOver: boolean
}

/** Somebody came to life. */
export interface Added {
  readonly kind: 'added'
  readonly seq: number
  readonly atMs: number
  readonly actor: AnyActorRef
}
/** Somebody ended. */
export interface Ended {
  readonly kind: 'ended'
  readonly seq: number
  readonly atMs: number
  readonly actor: AnyActorRef
  readonly snapshot: SomeSnapshot
}

export type Noted = OpenEvent | Added | Ended

/** What was noted since the last time. */
export interface Notes {
  /** In the order in which it began. */
  readonly noted: readonly Noted[]
  /** Events that were too many. */
  readonly dropped: number
  /** Somebody came or went without being noted: everybody has to be told who is there. */
  readonly isUnclear: boolean
}

/**
 * Takes down what XState tells of its actors. It does so in the middle of their work: there only references and times
 * are noted, and no more of them than a frame may hold.
 *
 * XState tells of an event when it is sent, of steps and actions while it is taken, and of the snapshot when all is over,
 * also for those to whom something was sent because of it. An event's own time is therefore that from the end of the one
 * before it, or from when it was sent, to its last step.
 */
export class Recorder {
  readonly #entriesMax: number
  readonly #onNoted: () => void
  #lives = new Map<AnyActorRef, Life>()
  #fresh: (OpenEvent | Added | Ended)[] = []
  /** Entries that did not fit in the next frame. */
  #dropped = 0
  /** The last of them of each actor, which says how it stands now. */
  #latestDropped = new Map<AnyActorRef, OpenEvent>()
  /** Somebody came or went without being told: everybody has to be told who is there. */
  #isUnclear = false
  #seq = 0

  /** @param onNoted called whenever there is something new to take */
  constructor(entriesMax: number, onNoted: () => void) {
    this.#entriesMax = entriesMax
    this.#onNoted = onNoted
  }

  /** Begins with those who are there already. */
  begin(actors: Iterable<AnyActorRef>): void {
    for (const actor of actors) this.#lives.set(actor, toLife(actor))
  }

  /** Forgets everybody. What happens from now on is missing, and a number that is missing says so. */
  end(): void {
    this.#lives = new Map()
    this.take()
    this.#seq++
  }

  /** Hands over what was noted. */
  take(): Notes {
    const latest = [...this.#latestDropped.values()].slice(0, this.#entriesMax)
    const notes = {
      noted: [...this.#fresh, ...latest].toSorted((a, b) => a.seq - b.seq),
      dropped: this.#dropped - latest.length,
      isUnclear: this.#isUnclear,
    }
    this.#fresh = []
    this.#dropped = 0
    this.#latestDropped.clear()
    this.#isUnclear = false
    return notes
  }

  /** The context that an actor was last seen with. */
  seenOf(actor: AnyActorRef): SeenContext {
    return this.#lives.get(actor)?.seen ?? { context: undefined, view: undefined, json: undefined }
  }

  /** Nobody needs to know more of one who ended. */
  forget(actor: AnyActorRef): void {
    this.#lives.delete(actor)
  }

  /** Called by XState in the middle of a transition: quick, and never throwing. */
  inspect(inspected: InspectionEvent): void {
    const actor = inspected.actorRef as AnyActorRef
    switch (inspected.type) {
      case '@xstate.event':
        return this.#sent(actor, inspected.sourceRef as AnyActorRef | undefined, inspected.event)
      case '@xstate.microstep': {
        const open = this.#lives.get(actor)?.pending[0]
        if (!open) return
        open.startedAt ??= Math.max(open.sentAt, this.#lives.get(actor)?.idleAt ?? 0)
        open.steppedAt = performance.now()
        for (const transition of inspected._transitions) {
          open.transitions ??= []
          if (open.transitions.length < stepsMax) open.transitions.push(transition)
        }
        return
      }
      case '@xstate.action': {
        const open = this.#lives.get(actor)?.pending[0]
        if (!open) return
        open.actions ??= []
        if (open.actions.length < stepsMax) open.actions.push(inspected.action.type)
        return
      }
      case '@xstate.snapshot':
        return this.#taken(actor, inspected.event, inspected.snapshot)
      default:
    }
  }

  #sent(actor: AnyActorRef, source: AnyActorRef | undefined, event: { readonly type: string }): void {
    // Whoever failed in the middle of an event says so to its parent only.
    if (source && /^xstate\.(done|error)\.actor\./.test(event.type)) this.#end(source, snapshotOf(source))
    const life = this.#lives.get(actor)
    const isNew = life === undefined
    const isOver = isNew && toStatus(snapshotOf(actor)) !== 'active' && event.type !== 'xstate.init'
    const isLost = isOver || life?.isOver === true
    if (isNew && !isLost) this.#begin(actor)
    const open = this.#open(actor, source, event, isLost)
    const pending = this.#lives.get(actor)?.pending
    if (!pending || isLost) return
    if (pending.length >= pendingMax) pending.shift()
    // What was sent before the start waits for it.
    if (event.type === 'xstate.init') pending.unshift(open)
    else pending.push(open)
  }

  #open(
    actor: AnyActorRef,
    source: AnyActorRef | undefined,
    event: { readonly type: string },
    isLost: boolean,
  ): OpenEvent {
    const sentAt = performance.now()
    const open: OpenEvent = {
      kind: 'event',
      seq: ++this.#seq,
      atMs: performance.timeOrigin + sentAt,
      sentAt,
      actor,
      source,
      event,
      isLost,
      isTold: false,
      transitions: undefined,
      actions: undefined,
      steppedAt: undefined,
      startedAt: undefined,
      endedAt: undefined,
      snapshot: undefined,
    }
    if (this.#fresh.length < this.#entriesMax) this.#fresh.push(open)
    else {
      this.#dropped++
      this.#latestDropped.set(actor, open)
    }
    this.#onNoted()
    return open
  }

  #taken(actor: AnyActorRef, event: { readonly type: string }, snapshot: SomeSnapshot): void {
    const life = this.#lives.get(actor)
    if (!life) return
    const now = performance.now()
    const index = life.pending.findIndex((open) => open.event === event)
    const sent = life.pending[index]
    // One that was sent before anybody watched has no entry yet, one that waited for long has one without an end.
    const open = sent?.isTold
      ? Object.assign(this.#open(actor, sent.source, event, false), {
          ...sent,
          seq: this.#seq,
          atMs: nowMs(),
          isTold: false,
        })
      : (sent ?? (event.type === 'xstate.stop' ? undefined : this.#open(actor, undefined, event, false)))
    if (open) {
      open.startedAt ??= Math.max(open.sentAt, life.idleAt)
      open.endedAt = now
      open.snapshot = snapshot
    }
    life.pending.splice(0, index + 1)
    life.idleAt = now
    if (toStatus(snapshot) !== 'active') this.#end(actor, snapshot)
  }

  #begin(actor: AnyActorRef): void {
    this.#lives.set(actor, toLife(actor))
    this.#note({ kind: 'added', seq: ++this.#seq, atMs: nowMs(), actor })
  }

  #end(actor: AnyActorRef, snapshot: SomeSnapshot): void {
    const life = this.#lives.get(actor)
    if (!life || life.isOver) return
    life.isOver = true
    const [last] = life.pending
    if (last && toStatus(snapshot) === 'error') {
      // What it failed in has no end of its own: it stays where it stood.
      last.startedAt ??= Math.max(last.sentAt, life.idleAt)
      last.endedAt = performance.now()
      last.snapshot = snapshot
    }
    this.#note({ kind: 'ended', seq: ++this.#seq, atMs: nowMs(), actor, snapshot })
  }

  #note(entry: Added | Ended): void {
    // Who is there matters more than what happens, up to a point.
    if (this.#fresh.length < this.#entriesMax * 4) this.#fresh.push(entry)
    else {
      this.#dropped++
      this.#isUnclear = true
      if (entry.kind === 'ended') this.#lives.delete(entry.actor)
    }
    this.#onNoted()
  }
}

const nowMs = (): number => performance.timeOrigin + performance.now()

const toLife = (actor: AnyActorRef): Life => ({
  actor,
  pending: [],
  seen: { context: undefined, view: undefined, json: undefined },
  idleAt: 0,
  isOver: false,
})
