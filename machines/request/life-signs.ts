/** What shows that a worker is still there. */
export interface LifeSigns {
  /** When anything last came from it, in milliseconds of the node's clock. */
  readonly heardAtMs: number
  /** Milliseconds of silence after a ping that its distance explains. */
  readonly silenceMsMax: number
  /** Asks it to say something. */
  ping(): void
  /** Asks it now and then, while all is well: how long its answers take under its load is what silence is measured by. */
  sample(): void
}
