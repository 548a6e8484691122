/**
 * What the inspector of actors tells a page: who lives, what each statechart looks like, and what happens. Everything in
 * it is in safe form: whoever made it left out prompts, answers and keys. It goes to people on this machine, not to peers.
 */

/** JSON in safe form: strings are short words, or say how much was left out. */
export type SafeValue = null | boolean | number | string | readonly SafeValue[] | SafeObject
export interface SafeObject {
  readonly [key: string]: SafeValue
}

/** Where a machine stands: the key of its state, or one such value for each of its regions. */
export type StateValueView = string | { readonly [region: string]: StateValueView }

export type ActorStatus = 'active' | 'done' | 'error' | 'stopped'

/** One actor of the tree. */
export interface ActorView {
  /** The session of XState: one for each actor that ever lived in the process. */
  readonly id: string
  /** The session of its parent; absent for the root. */
  readonly parent?: string
  /** The id its parent gave it; ids of people and machines are shortened. */
  readonly name: string
  readonly systemId?: string
  /** Name of the machine, or of the logic of an actor that is none. */
  readonly source: string
  /** The statechart, for `/machines/graphs/:id`; absent for what is no machine. */
  readonly graph?: string
  readonly status: ActorStatus
  readonly value?: StateValueView
  /** Absent when there are so many actors that it comes with their next event only. */
  readonly context?: SafeValue
}

interface EntryBase {
  /** Counts all that happened, from 1; what is missing between two numbers was dropped. */
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly atMs: number
  /** The session of the actor that it happened to. */
  readonly actor: string
}

/** An actor came to life. */
export interface AddedEntry extends EntryBase {
  readonly kind: 'added'
  readonly view: ActorView
}

/** An actor ended. */
export interface EndedEntry extends EntryBase {
  readonly kind: 'ended'
  readonly status: Exclude<ActorStatus, 'active'>
  /** Its output or its error, in safe form. */
  readonly because?: SafeValue
}

/** An actor was sent an event, and what it made of it. */
export interface EventEntry extends EntryBase {
  readonly kind: 'event'
  readonly event: string
  /** The fields of the event, without its type. */
  readonly detail?: SafeValue
  /** The session of the sender; absent when it came from outside the system. */
  readonly source?: string
  /** What came of it: `open` had not been taken up when this was sent, `lost` came after the actor's end. */
  readonly outcome: 'taken' | 'open' | 'lost'
  readonly value?: StateValueView
  /** Absent when it is what it was at the entry before of the same actor. */
  readonly context?: SafeValue
  /** Ids of the transitions taken, in order. */
  readonly edges?: readonly string[]
  /** Names of the actions carried out, in order. */
  readonly actions?: readonly string[]
  /** Microseconds that the transition took with its guards and actions, without what others did because of it. */
  readonly us?: number
  /** Microseconds that the event waited for its turn. */
  readonly waitUs?: number
}

export type InspectionEntry = AddedEntry | EndedEntry | EventEntry

/** The first frame of a watcher, and the first after one that had to be dropped. */
export interface HelloFrame {
  readonly type: 'hello'
  /** The run of the inspector: numbers of another run mean other moments. */
  readonly run: string
  readonly atMs: number
  /** Everyone who is alive, parents first. */
  readonly actors: readonly ActorView[]
  /** Actors that are alive and not listed, because there are too many. */
  readonly actorsLeftOut: number
  /** What is remembered, the oldest first. */
  readonly history: readonly InspectionEntry[]
  /** Frames that this watcher did not take in time. */
  readonly framesDropped: number
}

/** What happened since the frame before. */
export interface EntriesFrame {
  readonly type: 'entries'
  readonly entries: readonly InspectionEntry[]
  /** Entries that were too many to be told. */
  readonly dropped: number
}

/** Nothing more comes: the node stops, or the root actor ended. */
export interface ByeFrame {
  readonly type: 'bye'
}

export type InspectionFrame = HelloFrame | EntriesFrame | ByeFrame

/** The tree once, for whoever does not watch. */
export interface ActorTree {
  readonly run: string
  readonly atMs: number
  readonly actors: readonly ActorView[]
  readonly actorsLeftOut: number
}

export interface GraphState {
  /** Keys from below the root, joined by dots; empty for the root. */
  readonly id: string
  readonly key: string
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  /** Id of the state that a compound state starts in. */
  readonly initial?: string
  readonly entry: readonly string[]
  readonly exit: readonly string[]
  readonly invokes: readonly string[]
  readonly description?: string
  readonly states: readonly GraphState[]
}

export interface GraphTransition {
  readonly id: string
  readonly source: string
  /** Ids of states; none for a transition that stays where it is. */
  readonly targets: readonly string[]
  /** The event as people read it: `request.cancel`, `after deadline`, `done attempt`, `always`. */
  readonly event: string
  readonly kind: 'event' | 'after' | 'always' | 'done' | 'error'
  readonly guard?: string
  readonly actions: readonly string[]
  readonly isReentering?: boolean
}

/** A statechart, ready to be laid out. */
export interface MachineGraph {
  readonly id: string
  readonly machine: string
  readonly root: GraphState
  readonly transitions: readonly GraphTransition[]
}
