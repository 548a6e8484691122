import type { ReadStream, WriteStream } from 'node:tty'
import { endAtOnce } from '../end-at-once.ts'
import type { Screen } from './screen-block.ts'

/** A terminal as Node gives it; `input` may be something else than the terminal. */
export interface Terminal {
  readonly input: Pick<ReadStream, 'on' | 'off' | 'pause' | 'resume' | 'setRawMode' | 'isTTY'>
  readonly output: Pick<WriteStream, 'write' | 'on' | 'off' | 'columns' | 'rows' | 'writableNeedDrain'>
}

export interface FullScreenEvents {
  /** A key was pressed; only characters, and Ctrl with them. */
  readonly key: (key: string) => void
  /** The screen is empty, or has another size: everything has to be drawn again. */
  readonly blank: () => void
}

export interface FullScreen extends Screen {
  /** The terminal has not shown yet what was written: more would only pile up. */
  readonly isBehind: boolean
  /** Gives the terminal back. May be called twice. */
  release(): void
}

const escape = '\u001B['
/** The other screen, without a cursor; what was on the first one is there again afterwards. */
const enter = `${escape}?1049h${escape}?25l${escape}H${escape}2J`
const leave = `${escape}?7h${escape}?25h${escape}?1049l`
const clear = `${escape}H${escape}2J`
const suspendKey = '\u001A'

/**
 * A whole terminal, for as long as something is shown on it. However the process ends, a kill aside, the terminal is then
 * as it was: its own screen, a cursor, lines that are edited and echoed.
 */
export function takeScreen({ input, output }: Terminal, events: FullScreenEvents): FullScreen {
  let isTaken = false
  const take = (): void => {
    isTaken = true
    if (input.isTTY) input.setRawMode(true)
    output.write(enter)
  }
  const giveBack = (): void => {
    if (!isTaken) return
    isTaken = false
    if (input.isTTY) input.setRawMode(false)
    output.write(leave)
  }
  const onData = (data: Buffer | string): void => {
    const text = String(data)
    // Keys that are no character come as a sequence, which is nobody's.
    if (text.startsWith('\u001B')) return
    for (const key of text) {
      if (key === suspendKey) {
        giveBack()
        // The whole group, as the terminal itself would have done it: also whoever started this process.
        process.kill(0, 'SIGTSTP')
      } else events.key(key)
    }
  }
  const onContinue = (): void => {
    take()
    events.blank()
  }
  const onResize = (): void => {
    output.write(clear)
    events.blank()
  }
  const onHangUp = (): void => {
    giveBack()
    endAtOnce('SIGHUP')
  }
  const ignore = (): void => undefined
  take()
  if (input.isTTY) {
    input.on('data', onData)
    // A terminal that is gone.
    input.on('error', ignore)
    input.resume()
  }
  output.on('resize', onResize)
  process.on('exit', giveBack)
  process.on('SIGCONT', onContinue)
  process.on('SIGHUP', onHangUp)
  return {
    get columns() {
      return output.columns
    },
    get rows() {
      return output.rows
    },
    get isBehind() {
      return output.writableNeedDrain
    },
    write: (text) => void output.write(text),
    release: () => {
      giveBack()
      input.off('data', onData)
      if (input.isTTY) input.pause()
      output.off('resize', onResize)
      process.off('exit', giveBack)
      process.off('SIGCONT', onContinue)
      process.off('SIGHUP', onHangUp)
    },
  }
}
