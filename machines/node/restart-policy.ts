/** How often a failed part may be started again, and how long to wait before each try. */
export interface RestartPolicy {
  /** Restarts allowed within `windowMs`; one more failure means giving up. */
  readonly restartsMax: number
  /** Milliseconds over which restarts are counted; older ones are forgiven. */
  readonly windowMs: number
  /** Milliseconds before the first restart; doubled for each further one in the window. */
  readonly backOffMs: number
  readonly backOffMsMax: number
}

export const defaultRestartPolicy: RestartPolicy = {
  restartsMax: 5,
  windowMs: 60_000,
  backOffMs: 250,
  backOffMsMax: 30_000,
}

/** Restarts that still count at `nowMs`. */
export const recentRestarts = (
  restartedAtMs: readonly number[],
  nowMs: number,
  policy: RestartPolicy,
): readonly number[] => restartedAtMs.filter((atMs) => nowMs - atMs < policy.windowMs)

/** Milliseconds to wait before the next restart: `backOffMs · 2^restarts`, bounded. */
export const toBackOffMs = (restarts: number, policy: RestartPolicy): number =>
  Math.min(policy.backOffMsMax, policy.backOffMs * 2 ** Math.min(restarts, 30))
