/** Part of the loading time that is still expected when it has passed and the model is not there. */
const overrunShare = 0.1

/** Slots of a model that is not loaded, and how long loading takes. */
export interface LoadTerms {
  readonly slots: number
  readonly loadMs: number
}

/**
 * Whether one model is in memory, and when it comes or goes. A model that has to make room serves as many as wait for
 * it at that moment; whoever comes later waits until it is back, or else one that is always asked for would never go.
 */
export class Presence {
  /** What is known of it while it is not loaded. */
  loadable: LoadTerms | undefined
  /** What was said of it last: requests wait for it; it is done. */
  toldWanted = false
  toldDone = false
  /** Those waiting are to be told anew when their turn comes. */
  isNews = false
  /** Of the latest hold. */
  turn = 0
  #places: number | undefined
  #awayMs = 0
  #expectedAtMs: number | undefined
  #roomMs: ((nowMs: number) => number) | undefined

  get isHeld(): boolean {
    return this.#places !== undefined
  }

  /** Requests that may still be given a slot. */
  get placesLeft(): number {
    return this.#places ?? Infinity
  }

  /** @param awayMs from its going to its coming back. */
  hold(turn: number, places: number, awayMs: number): void {
    this.#places ??= places
    this.turn = turn
    this.#awayMs = awayMs
    this.toldDone = false
    this.isNews = true
  }

  release(): void {
    if (this.#places === undefined) return
    this.#places = undefined
    this.isNews = true
  }

  /** One of those waiting was given a slot. */
  served(): void {
    if (this.#places !== undefined) this.#places = Math.max(0, this.#places - 1)
  }

  /** It is not in memory. */
  gone(terms: LoadTerms): void {
    this.loadable = terms
    this.#expectedAtMs = undefined
    this.#roomMs = undefined
    this.release()
    this.isNews = true
  }

  /** It is loaded once there is room, which takes so long. */
  waitsFor(roomMs: (nowMs: number) => number): void {
    this.#roomMs = roomMs
    this.isNews = true
  }

  expectedAt(atMs: number): void {
    this.#expectedAtMs = atMs
    this.isNews = true
  }

  /** For each of its slots, milliseconds until it is there. None: nobody knows whether it ever is. */
  busyMs(nowMs: number): readonly number[] {
    if (!this.loadable) return []
    const { slots, loadMs } = this.loadable
    const inMs =
      this.#expectedAtMs === undefined
        ? loadMs + (this.#roomMs?.(nowMs) ?? 0)
        : Math.max(this.#expectedAtMs - nowMs, loadMs * overrunShare)
    return Array.from({ length: slots }, () => inMs)
  }

  /** Milliseconds that one with so many ahead of it waits longer, because the model goes in between. */
  awayMs(ahead: number): number {
    return this.#places !== undefined && ahead >= this.#places ? this.#awayMs : 0
  }
}
