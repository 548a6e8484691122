export interface WatchdogOptions {
  /** Milliseconds without any progress, while something should make some, after which a thread counts as hung. */
  readonly hangMs: number
  /** Milliseconds added for every prompt token that may be evaluated in one go. */
  readonly perPromptTokenMs: number
}

/** A slow disk and a large model on an old laptop must not look like a hang; minutes are cheap, a false alarm is not. */
export const watchdogDefaults: WatchdogOptions = { hangMs: 60_000, perPromptTokenMs: 250 }

/** Looks in at intervals and reports once when the pulse stood still for too long while there was work. */
export class Watchdog {
  readonly #timer: NodeJS.Timeout

  /**
   * @param pulse a counter that moves whenever the thread gets on
   * @param allowanceMs milliseconds of standstill that the present work allows; undefined when there is no work
   */
  constructor(
    options: WatchdogOptions,
    pulse: () => number,
    allowanceMs: () => number | undefined,
    onHung: () => void,
  ) {
    let seen = pulse()
    let sinceMs = performance.now()
    this.#timer = setInterval(
      () => {
        const now = performance.now()
        const current = pulse()
        const allowed = allowanceMs()
        if (current !== seen || allowed === undefined) {
          seen = current
          sinceMs = now
        } else if (now - sinceMs > allowed) {
          this.stop()
          onHung()
        }
      },
      Math.max(10, options.hangMs / 8),
    )
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
