import type { ScoreRow } from '../runtime/index.ts'

/** Milliseconds as seconds: `0.9 s`. Every head start is a multiple of a tenth. */
export const toSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** What an account's score is good for, as a sentence's end. */
export const toWorth = ({ headStartMs }: Pick<ScoreRow, 'headStartMs'>): string =>
  headStartMs === 0 ? 'waits like a newcomer' : `waits ${toSeconds(headStartMs)} less than a newcomer`
