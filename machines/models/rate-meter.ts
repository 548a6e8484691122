/** Milliseconds over which the rate is taken: the last few seconds, so that the ETA neither jumps nor lies for long. */
const windowMs = 5_000
/** Milliseconds that one mark of the window stands for. */
const markMs = 100

interface Mark {
  readonly atMs: number
  bytes: number
}

/** Bytes a second of late, and how long the rest will take. All times are passed in. */
export class RateMeter {
  #marks: Mark[] = []
  #startedMs: number | undefined

  add(bytes: number, nowMs: number): void {
    this.#startedMs ??= nowMs
    const last = this.#marks.at(-1)
    if (last && nowMs - last.atMs < markMs) last.bytes += bytes
    else this.#marks.push({ atMs: nowMs, bytes })
    this.#forget(nowMs)
  }

  /** 0 when nothing came of late. */
  bytesPerSecond(nowMs: number): number {
    this.#forget(nowMs)
    const bytes = this.#marks.reduce((sum, mark) => sum + mark.bytes, 0)
    const sinceMs = Math.min(windowMs, nowMs - (this.#startedMs ?? nowMs))
    return sinceMs < markMs ? 0 : (1_000 * bytes) / sinceMs
  }

  /** Undefined while nothing comes. */
  etaMs(bytesLeft: number, nowMs: number): number | undefined {
    if (bytesLeft <= 0) return 0
    const rate = this.bytesPerSecond(nowMs)
    return rate > 0 ? Math.round((1_000 * bytesLeft) / rate) : undefined
  }

  #forget(nowMs: number): void {
    const first = this.#marks.findIndex(({ atMs }) => nowMs - atMs <= windowMs)
    this.#marks = first === -1 ? [] : this.#marks.slice(first)
  }
}
