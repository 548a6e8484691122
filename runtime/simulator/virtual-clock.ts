import type { ActorOptions, AnyActorLogic } from 'xstate'

interface Timer {
  readonly atMs: number
  /** Two timers of one moment fire in the order in which they were set. */
  readonly order: number
  fire: (() => void) | undefined
}

type MachineClock = NonNullable<ActorOptions<AnyActorLogic>['clock']>

/** Timers between two pauses: a pause lets Ctrl-C and whoever shows the progress have their turn. */
const timersPerPause = 1_024

/** Time that passes only when there is something to do. A binary heap: a run sets millions of timers. */
export class VirtualClock {
  readonly #heap: Timer[] = []
  readonly #pause: () => Promise<void>
  #nowMs = 0
  #order = 0

  /** @param pause rejects to end the run */
  constructor(pause: () => Promise<void> = () => Promise.resolve()) {
    this.#pause = pause
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** The delays of state machines, by this clock. */
  readonly forMachines: MachineClock = {
    setTimeout: (fire: () => void, delayMs: number) => this.after(delayMs, fire),
    // What comes in is what `setTimeout` gave out: XState keeps it and says nothing of its type.
    clearTimeout: (timer: Timer) => {
      timer.fire = undefined
    },
  }

  /** @param delayMs at least 0 */
  after(delayMs: number, fire: () => void): Timer {
    const timer: Timer = { atMs: this.#nowMs + delayMs, order: this.#order++, fire }
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (!above || isBefore(above, timer)) break
      heap[at] = above
      at = parent
    }
    heap[at] = timer
    return timer
  }

  /**
   * Fires everything due up to this time, also what comes up meanwhile.
   *
   * @param isPatient lets promises settle after each timer; without it they settle at pauses
   */
  async runUntil(untilMs: number, { isPatient = false } = {}): Promise<void> {
    let left = timersPerPause
    for (let [first] = this.#heap; first && first.atMs <= untilMs; [first] = this.#heap) {
      this.#removeFirst()
      if (!first.fire) continue
      this.#nowMs = first.atMs
      first.fire()
      left -= 1
      if (!isPatient && left > 0) continue
      left = timersPerPause
      await this.#pause()
    }
    this.#nowMs = untilMs
    await this.#pause()
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const [left, right] = [heap[child], heap[child + 1]]
      let least = left
      if (left && right && isBefore(right, left)) {
        child += 1
        least = right
      }
      if (!least || isBefore(last, least)) break
      heap[at] = least
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
