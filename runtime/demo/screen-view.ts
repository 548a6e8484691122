import type { DemoBoard } from './board.ts'
import type { ClientName, DemoWorker } from './mesh.ts'
import type { DemoQuestion } from './question.ts'
import { createStamp, oneLine, type DemoView } from './view.ts'

export interface Screen {
  readonly columns: number
  readonly rows: number
  write(text: string): void
}

const escape = '\u001B['
/** Everything between these two appears at once on terminals that know them; others ignore them. */
const [beginFrame, endFrame] = [`${escape}?2026h`, `${escape}?2026l`]
const clearToEnd = `${escape}J`
/** Lines of the text that is being read along. */
const textLines = 3
/** Whose eyes the board sees the workers with. */
const observer: ClientName = 'bronze-1'

/** A terminal: lines that stay go up, below them a block that is drawn anew. Nothing else of the screen is touched. */
export function createScreenView(screen: Screen): DemoView {
  const stamp = createStamp()
  let block: readonly string[] = []
  let isClosed = false
  const draw = (said: readonly string[], next: readonly string[]): void => {
    const up = block.length > 0 ? `\r${escape}${block.length}A` : ''
    const lines = [...said, ...next].map((line) => `${line}\n`)
    screen.write(`${beginFrame}${up}${clearToEnd}${lines.join('')}${endFrame}`)
    block = next
  }
  const say = (text: string): void => {
    if (!isClosed) draw([stamp(text)], block)
  }
  return {
    say,
    detail: () => undefined,
    show: (board) => {
      if (isClosed) return
      // One line more than the screen has, and the way back up would end too early.
      const next = toLines(board, screen.columns).slice(-Math.max(1, screen.rows - 2))
      const fitted = next.map((line) => fit(line, screen.columns))
      if (fitted.join('\n') !== block.join('\n')) draw([], fitted)
    },
    close: () => {
      if (!isClosed) draw([], [])
      isClosed = true
    },
  }
}

function toLines(board: DemoBoard, columns: number): string[] {
  const { stream } = board
  const open = board.questions.filter((question) => !question.hasEnded && question !== stream)
  return [
    '',
    ...board.workers.map((worker) => workerLine(board, worker)),
    ...(open.length > 0 ? [''] : []),
    ...open.map((question) => questionLine(board, question)),
    ...(stream ? ['', ...streamLines(board, stream, columns)] : []),
  ]
}

function workerLine(board: DemoBoard, worker: DemoWorker): string {
  const seen = board.seenBy(observer, worker)
  const name = `  ${worker.name.padEnd(8)} process ${String(worker.pid).padEnd(8)}`
  if (!worker.isAlive) return `${name} killed`
  if (!seen) return `${name} not connected`
  const { models, slotsBusy, slots, queueLength, state } = seen
  const facts = [
    models.map(({ id }) => id).join(' '),
    ...(worker.isHonest
      ? [`${slotsBusy} of ${slots} slots busy`, `${queueLength} waiting`]
      : [`says it is ${state}`, `asked ${worker.requests} times`]),
    ...(worker.isHonest || board.shutOutBy.length === 0
      ? []
      : [`shut out by ${board.shutOutBy.length} clients`]),
  ]
  return `${name} ${facts.join(' · ')}`
}

function questionLine(board: DemoBoard, question: DemoQuestion): string {
  return `  ${question.name.padEnd(12)} ${toPlace(board, question)}`
}

export function toPlace(board: DemoBoard, question: DemoQuestion): string {
  const { phase, position, etaMs, tokens } = question
  const at = board.nameOf(question.workerId) ?? 'nobody'
  if (phase === 'streaming') return `${at} answers, ${tokens.length} tokens so far`
  if (phase === 'waiting' && position > 0) {
    return `waits at ${at}, place ${position}, about ${(etaMs / 1_000).toFixed(1)} s`
  }
  return phase === 'searching' ? 'looks for a worker' : `${at} has it`
}

function streamLines(board: DemoBoard, stream: DemoQuestion, columns: number): string[] {
  const width = Math.max(20, columns - 3)
  const text = oneLine(stream.text)
  const lines: string[] = []
  for (let from = 0; from < text.length; from += width) lines.push(`  ${text.slice(from, from + width)}`)
  return [questionLine(board, stream), ...lines.slice(-textLines)]
}

function fit(line: string, columns: number): string {
  const plain = oneLine(line)
  return plain.length < columns ? plain : `${plain.slice(0, Math.max(0, columns - 2))}…`
}
