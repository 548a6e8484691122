import { createRandom } from '../../machines/selection/random.ts'

/** What the process that runs the worker does to itself, in the middle of an answer. */
export const processFaults = [
  /** `kill -9`. */
  'kill',
  /** SIGSTOP, and SIGCONT some time later. */
  'freeze',
  /** SIGSTOP, and `kill -9` some time later. */
  'freeze-kill',
  /** The worker closes its connections. */
  'cut-by-worker',
  /** The connection is destroyed at the client's end. */
  'cut-by-client',
  /** Whatever the worker's process sends to anybody is lost on the way. */
  'network-lost',
  /** The owner drains the worker, and takes it back later. */
  'drain',
  /** The node stops in order. */
  'leave',
  /** Nothing can be written to the worker's disk any more. */
  'disk-full',
  /** The inference thread dies. */
  'engine-lost',
] as const
export type ProcessFault = (typeof processFaults)[number]

/** What a peer that only looks like a worker does. It gives the right tokens up to there, or nobody could tell. */
export const hostileDeeds = [
  /** Claims to be idle and refuses or fails every request. */
  'fails-all',
  /** Has no slot for anybody, whatever its status says. */
  'refuses-all',
  'garbage',
  'frame-too-long',
  'gap',
  'twice',
  'goes-back',
  'after-end',
  'other-request',
  'too-many',
  'too-far-ahead',
  /** Begins again with the first token instead of going on. */
  'wrong-resume',
  'wrong-finish',
  /** Every token, and then it is gone instead of finishing. */
  'no-finish',
  /** Answers with a code that is not a worker's to say. */
  'speaks-for-client',
  /** Takes the request and is gone. */
  'vanishes',
  'floods-positions',
  'floods-status',
] as const
export type HostileDeed = (typeof hostileDeeds)[number]

/**
 * When it happens, seen from the worker: with this many tokens of the answer sent, when the prompt comes, after the last
 * token but one, or with all tokens sent and the finish held back.
 */
export type Moment = { readonly tokens: number } | 'prompt' | 'before-last' | 'before-finish'

export interface PlannedFault {
  readonly kind: ProcessFault
  /** Index of the stream whose worker it hits. */
  readonly stream: number
  /** Which worker of the stream, the first being 0. */
  readonly attempt: number
  readonly at: Moment
  /** Milliseconds until a frozen process goes on or is killed. */
  readonly lastsMs: number
}

export interface PlannedStream {
  readonly prompt: string
  readonly maxTokens: number
  /** Where in the undisturbed text a stop string is taken from, as a part of it; absent: none. */
  readonly stopAt?: number
  /** Milliseconds the reader takes for each chunk. */
  readonly chunkMs: number
  /** The reader takes nothing until the worker has been hit. */
  readonly waitsForFault: boolean
}

export interface PlannedHostile {
  readonly deed: HostileDeed
  /** The part of the answer that it gives before. */
  readonly after: number
}

export interface RoundPlan {
  readonly seed: number
  readonly streams: readonly PlannedStream[]
  readonly faults: readonly PlannedFault[]
  readonly hostile?: PlannedHostile
  /** Every worker is killed when the first stream has this many tokens. */
  readonly killAllAfter?: number
}

export interface PlanOptions {
  /** Faults to choose from; absent: all. */
  readonly only?: readonly string[]
}

/** The others would have said their finish, and a worker that lives and never says it only tells the longest time-out. */
const endsConnection: readonly ProcessFault[] = [
  'kill',
  'freeze-kill',
  'cut-by-worker',
  'cut-by-client',
  'network-lost',
]

const prompts = Array.from({ length: 12 }, (_, index) => `the er on an in of ${index}, and it is to the end`)
const lengths = [24, 65, 130, 200, 280, 360, 400] as const
/** One more than the window: a worker whose reader takes nothing waits with one token left to say. */
const oneBeyondWindow = 129

/** The same seed gives the same plan. */
export function planRound(seed: number, { only }: PlanOptions = {}): RoundPlan {
  const random = createRandom(seed)
  // The first numbers of neighbouring seeds resemble each other.
  for (let drawn = 0; drawn < 8; drawn++) random()
  const whole = (below: number): number => Math.floor(random() * below)
  const oneOf = <T>(values: readonly [T, ...T[]] | readonly T[]): T => {
    const value = values[whole(values.length)]
    if (value === undefined) throw new Error('nothing to choose from')
    return value
  }
  const isWanted = (kind: string): boolean => !only || only.includes(kind)
  const wantedFaults = processFaults.filter(isWanted)
  const wantedDeeds = hostileDeeds.filter(isWanted)

  const isSpecial = random()
  const waits = isSpecial < 0.08
  const toStream = (): PlannedStream => {
    const maxTokens = waits ? oneBeyondWindow : oneOf(lengths)
    return {
      prompt: oneOf(prompts),
      maxTokens,
      ...(!waits && random() < 0.2 && { stopAt: 0.3 + 0.6 * random() }),
      chunkMs: random() < 0.2 ? 1 + whole(12) : 0,
      waitsForFault: waits,
    }
  }
  const streams = Array.from({ length: waits || random() < 0.6 ? 1 : 2 + whole(3) }, toStream)
  const toMoment = (maxTokens: number, attempt: number): Moment => {
    if (waits && attempt === 0) return 'before-last'
    const dice = random()
    if (dice < 0.12) return 'prompt'
    if (dice < 0.24) return 'before-finish'
    return { tokens: 1 + whole(maxTokens - 1) }
  }
  const toFault = (stream: number, attempt: number): PlannedFault => {
    const maxTokens = streams[stream]?.maxTokens ?? 2
    const kind = oneOf(wantedFaults)
    const at = toMoment(maxTokens, attempt)
    const isPossible = at !== 'before-finish' || endsConnection.includes(kind)
    return {
      kind,
      stream,
      attempt,
      at: isPossible ? at : { tokens: maxTokens - 1 },
      lastsMs: 50 + whole(900),
    }
  }

  const faults: PlannedFault[] = []
  if (wantedFaults.length > 0) {
    faults.push(toFault(0, 0))
    // The next worker is hit as well, most of the time while it takes over.
    if (random() < 0.25) {
      const second = toFault(0, 1)
      faults.push(random() < 0.6 ? { ...second, at: 'prompt' } : second)
    }
    for (let stream = 1; stream < streams.length; stream++) {
      if (random() < 0.5) faults.push(toFault(stream, 0))
    }
  }
  const isHostile = wantedDeeds.length > 0 && (wantedFaults.length === 0 || random() < 0.35)
  const isDeadly = isWanted('kill-all') && (random() < 0.015 || (only?.includes('kill-all') ?? false))
  return {
    seed,
    streams,
    faults: isDeadly ? [] : faults,
    ...(isHostile && !isDeadly && { hostile: { deed: oneOf(wantedDeeds), after: random() } }),
    ...(isDeadly && { killAllAfter: 1 + whole(20) }),
  }
}
