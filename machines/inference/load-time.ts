/** Guess for a machine nobody has measured: a thread and the engine, then a file from an ordinary disk. */
const guess = { startMs: 800, bytesPerMs: 500_000 } as const
/** Weight of the newest measurement. */
const newestWeight = 0.5

/** How long loading takes: the same model again takes as long as before, another one as much longer as these did. */
export interface LoadTimes {
  /** Measured, in milliseconds, by model. */
  readonly known: ReadonlyMap<string, number>
  /** Measured over guessed, all models together. */
  readonly slowness: number
}

export const noLoadTimes: LoadTimes = { known: new Map(), slowness: 1 }

const guessMs = (bytes: number): number => guess.startMs + bytes / guess.bytesPerMs

/** Milliseconds that loading a model takes, whole ones. */
export const loadTime = ({ known, slowness }: LoadTimes, modelId: string, bytes: number): number =>
  Math.ceil(known.get(modelId) ?? guessMs(bytes) * slowness)

/** A model of so many bytes took so long. Nonsense teaches nothing. */
export function afterLoad(times: LoadTimes, modelId: string, bytes: number, ms: number): LoadTimes {
  if (!(ms > 0 && ms < Infinity)) return times
  const before = times.known.get(modelId)
  const next = before === undefined ? ms : before + newestWeight * (ms - before)
  const ratio = ms / guessMs(bytes)
  const slowness = times.known.size === 0 ? ratio : times.slowness + newestWeight * (ratio - times.slowness)
  return { known: new Map(times.known).set(modelId, next), slowness }
}
