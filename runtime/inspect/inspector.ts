import { randomBytes } from 'node:crypto'
import type { AnyActorRef } from 'xstate'
import type { Inspection, InspectionWatcher, InspectorPort } from '../../actors/gateway/inspector.port.ts'
import type {
  ActorTree,
  HelloFrame,
  InspectionEntry,
  InspectionFrame,
  MachineGraph,
} from '../../protocol/inspection.ts'
import { listActors, machineOf, snapshotOf, toActorView, toStatus, walk } from './actor-tree.ts'
import { toEndedEntry, toEventEntry } from './entry-maker.ts'
import { defaultHistoryBounds, History, type HistoryBounds } from './history.ts'
import { GraphBook } from './machine-graph.ts'
import { Recorder, type Noted } from './recorder.ts'

export interface InspectorBounds {
  readonly watchersMax: number
  /** Milliseconds between two frames. */
  readonly frameMs: number
  /** Entries of one frame; more are counted and dropped. */
  readonly frameEntriesMax: number
  /** Milliseconds that the history is kept after the last watcher left. */
  readonly lingerMs: number
  readonly history: HistoryBounds
}

export const defaultInspectorBounds: InspectorBounds = {
  watchersMax: 8,
  frameMs: 50,
  frameEntriesMax: 400,
  lingerMs: 60_000,
  history: defaultHistoryBounds,
}

/**
 * Watches a system of actors for as long as somebody watches the inspector. It subscribes with the first watcher and
 * leaves with the last, so that a system that nobody looks at pays nothing.
 *
 * The recorder notes what happens; it is put into safe words when a frame is due, at most 20 times a second.
 */
export class Inspector implements InspectorPort {
  readonly run = randomBytes(4).toString('hex')
  readonly #bounds: InspectorBounds
  readonly #graphs = new GraphBook()
  readonly #history: History
  readonly #recorder: Recorder
  readonly #watchers = new Set<Watching>()
  #root: AnyActorRef | undefined
  #subscription: { unsubscribe(): void } | undefined
  #frameTimer: NodeJS.Timeout | undefined
  #lingerTimer: NodeJS.Timeout | undefined

  constructor(root?: AnyActorRef, bounds: Partial<InspectorBounds> = {}) {
    this.#root = root
    this.#bounds = { ...defaultInspectorBounds, ...bounds }
    this.#history = new History(this.#bounds.history)
    this.#recorder = new Recorder(this.#bounds.frameEntriesMax, () => this.#schedule())
  }

  /** Any actor of the system that is to be watched; a system that is started anew is another one. */
  set system(actor: AnyActorRef) {
    let root = actor
    while (root._parent) root = root._parent
    if (root === this.#root) return
    this.close()
    this.#root = root
  }

  get isAttached(): boolean {
    return this.#subscription !== undefined
  }

  /** Entries of the past that are kept. */
  get remembered(): number {
    return this.#history.size
  }

  get watchers(): number {
    return this.#watchers.size
  }

  tree(): ActorTree {
    return { run: this.run, atMs: nowMs(), ...listActors(this.#alive(), this.#graphs) }
  }

  graph(id: string): MachineGraph | undefined {
    const known = this.#graphs.get(id)
    if (known) return known
    for (const actor of this.#alive()) {
      const machine = machineOf(actor)
      if (machine && this.#graphs.idOf(machine) === id) break
    }
    return this.#graphs.get(id)
  }

  watch(watcher: InspectionWatcher): Inspection | undefined {
    if (this.#watchers.size >= this.#bounds.watchersMax) return undefined
    const watching: Watching = { watcher, framesDropped: 0 }
    this.#attach()
    this.#flush()
    this.#watchers.add(watching)
    this.#greet(watching)
    return {
      resume: () => {
        if (watching.framesDropped === 0 || !this.#watchers.has(watching)) return
        this.#flush()
        this.#greet(watching)
      },
      close: () => {
        if (this.#watchers.delete(watching) && this.#watchers.size === 0) this.#detach()
      },
    }
  }

  /** Says goodbye to everybody, and forgets what was. */
  close(): void {
    this.#flush()
    this.#sayBye()
    this.#detach()
    clearTimeout(this.#lingerTimer)
    this.#history.clear()
  }

  *#alive(): Generator<AnyActorRef> {
    if (this.#root && toStatus(snapshotOf(this.#root)) === 'active') yield* walk(this.#root)
  }

  #attach(): void {
    const root = this.#root
    if (this.#subscription || !root) return
    clearTimeout(this.#lingerTimer)
    this.#recorder.begin(this.#alive())
    this.#subscription = root.system.inspect((event) => this.#recorder.inspect(event))
  }

  #detach(): void {
    if (!this.#subscription) return
    this.#subscription.unsubscribe()
    this.#subscription = undefined
    clearTimeout(this.#frameTimer)
    this.#frameTimer = undefined
    this.#recorder.end()
    this.#lingerTimer = setTimeout(() => this.#history.clear(), this.#bounds.lingerMs).unref()
  }

  #schedule(): void {
    this.#frameTimer ??= setTimeout(() => {
      this.#flush()
      if (this.#root && toStatus(snapshotOf(this.#root)) === 'active') return
      this.#sayBye()
      this.#detach()
    }, this.#bounds.frameMs).unref()
  }

  /** Puts what was noted into words, and sends it. */
  #flush(): void {
    clearTimeout(this.#frameTimer)
    this.#frameTimer = undefined
    const { noted, dropped, isUnclear } = this.#recorder.take()
    if (noted.length === 0 && dropped === 0) return
    const entries = noted.map((one) => this.#toEntry(one))
    if (isUnclear) {
      const all = this.#all()
      for (const watching of this.#watchers) this.#greet(watching, all)
      return
    }
    this.#send({ type: 'entries', entries, dropped })
  }

  /** Keeps the entry whole; in the frame it goes without a context that is known. */
  #toEntry(noted: Noted): InspectionEntry {
    if (noted.kind === 'event') {
      noted.isTold = true
      const seen = this.#recorder.seenOf(noted.actor)
      const before = seen.view
      const entry = toEventEntry(noted, seen)
      const { context, ...rest } = entry
      this.#history.push(entry, JSON.stringify(rest).length, seen.json?.length)
      return context === before ? rest : entry
    }
    const { seq, atMs, actor } = noted
    if (noted.kind === 'ended') {
      this.#recorder.forget(actor)
      return this.#keep(toEndedEntry(seq, atMs, actor, noted.snapshot))
    }
    // How it stands is told by its events.
    const { context: _, value: __, ...view } = toActorView(actor, this.#graphs)
    return this.#keep({
      kind: 'added',
      seq,
      atMs,
      actor: actor.sessionId,
      view: { ...view, status: 'active' },
    })
  }

  #keep<Entry extends InspectionEntry>(entry: Entry): Entry {
    this.#history.push(entry, JSON.stringify(entry).length)
    return entry
  }

  #send(frame: InspectionFrame): void {
    const json = JSON.stringify(frame)
    for (const watching of this.#watchers) {
      if (watching.framesDropped > 0 || !watching.watcher.take(json, frame)) watching.framesDropped++
    }
  }

  /** Everything that there is to know. It takes its time: whoever greets several asks once. */
  #all(): Omit<HelloFrame, 'framesDropped'> {
    return { type: 'hello', ...this.tree(), history: withoutRepeats(this.#history.list()) }
  }

  #greet(watching: Watching, all = this.#all()): void {
    const frame: HelloFrame = { ...all, framesDropped: watching.framesDropped }
    if (watching.watcher.take(JSON.stringify(frame), frame)) watching.framesDropped = 0
    else watching.framesDropped++
  }

  #sayBye(): void {
    this.#send({ type: 'bye' })
    this.#watchers.clear()
  }
}

interface Watching {
  readonly watcher: InspectionWatcher
  /** Since the last one that was taken. */
  framesDropped: number
}

const nowMs = (): number => performance.timeOrigin + performance.now()

/** Leaves out each context that is the one before of its actor. */
function withoutRepeats(entries: readonly InspectionEntry[]): InspectionEntry[] {
  const latest = new Map<string, unknown>()
  return entries.map((entry) => {
    if (entry.kind !== 'event' || entry.context === undefined) return entry
    const { context, ...rest } = entry
    if (latest.get(entry.actor) === context) return rest
    latest.set(entry.actor, context)
    return entry
  })
}
