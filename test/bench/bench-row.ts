/** One line of the bench table: our figure and, if any, that of something that ran beside it on the same machine. */
export interface BenchRow {
  readonly what: string
  readonly ours: number
  readonly unit: string
  readonly peer?: { readonly name: string; readonly value: number }
  /** Ours over the peer's; whether more or less is better follows from the unit. */
  readonly ratio?: number
  readonly target?: string
  readonly note?: string
}
