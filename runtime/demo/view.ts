import { oneLine } from '../plain-text.ts'
import type { DemoBoard } from './board.ts'

/** How the demo is shown. Text may hold words of peers: a view makes it plain. */
export interface DemoView {
  /** A line that stays. */
  say(text: string): void
  /** A line for whoever has no board to look at. */
  detail(text: string): void
  /** Called many times a second. */
  show(board: DemoBoard): void
  /** Nothing more is shown. */
  close(): void
}

/** For `--json`. */
export const quietView: DemoView = {
  say: () => undefined,
  detail: () => undefined,
  show: () => undefined,
  close: () => undefined,
}

/** The time since the start in front of a line. */
export function createStamp(): (text: string) => string {
  const startedAtMs = performance.now()
  return (text) => `${((performance.now() - startedAtMs) / 1_000).toFixed(1).padStart(5)} s  ${oneLine(text)}`
}

/** Lines with times, for a file or a pipe. */
export function createLinesView(write: (text: string) => void): DemoView {
  const stamp = createStamp()
  let isClosed = false
  const line = (text: string): void => {
    if (!isClosed) write(`${stamp(text)}\n`)
  }
  return { say: line, detail: line, show: () => undefined, close: () => void (isClosed = true) }
}
