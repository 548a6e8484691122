import { takeScreen, type Terminal } from '../../runtime/terminal/full-screen.ts'
import { ScreenBlock } from '../../runtime/terminal/screen-block.ts'
import { oneLine } from '../../runtime/plain-text.ts'
import { output } from '../output.ts'
import type { Look } from './look.ts'
import { summaryLine } from './node-lines.ts'
import { topLines } from './top-lines.ts'

/** Shows a node, look by look. */
export interface TopView {
  show(look: Look): Promise<void> | void
  /** Nothing more is shown. May be called twice. */
  close(): void
}

/** A line a look, for a file or a pipe. */
export const summaryView: TopView = {
  show: (look) => output.line(oneLine(summaryLine(look))),
  close: () => undefined,
}

/** All there is to see. */
export const wholeView: TopView = {
  show: (look) =>
    output.line(
      topLines(look)
        .map((line) => oneLine(typeof line === 'string' ? line : line.heading))
        .join('\n'),
    ),
  close: () => undefined,
}

/** A document a look, on a line of its own. */
export const jsonView: TopView = {
  show: ({ at, status, workers, requests, rates }) =>
    output.jsonLine({
      at,
      status,
      workers,
      requests,
      ...(rates && {
        tokensPerSecond: { received: rates.receivedTokens, served: rates.servedTokens },
      }),
    }),
  close: () => undefined,
}

/** Milliseconds without an answer of the node that are worth a word. */
const silenceMs = 3_000
/** Milliseconds between two looks at how old the picture is. */
const ageMs = 1_000

/** A whole terminal; `q` and Ctrl-C leave it. */
export function createScreenView(terminal: Terminal, onQuit: (key: 'q' | 'ctrl-c') => void): TopView {
  let latest: Look | undefined
  const draw = (): void => {
    // One that shows nothing for a while gets the newest picture afterwards, not all of them.
    if (!latest || screen.isBehind) return
    const silentMs = performance.now() - latest.atMs
    const foot =
      silentMs < silenceMs ? 'q leaves' : `no answer for ${Math.round(silentMs / 1_000)} s · q leaves`
    block.show([...topLines(latest, block.linesMax - 1), foot])
  }
  const screen = takeScreen(terminal, {
    key: (key) => {
      if (key.toLowerCase() === 'q') onQuit('q')
      else if (key === '\u0003') onQuit('ctrl-c')
    },
    blank: () => {
      block.forget()
      draw()
    },
  })
  const block = new ScreenBlock(screen)
  const timer = setInterval(draw, ageMs)
  return {
    show: (look) => {
      latest = look
      draw()
    },
    close: () => {
      clearInterval(timer)
      screen.release()
    },
  }
}
