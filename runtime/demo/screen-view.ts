import { oneLine } from '../plain-text.ts'
import { ScreenBlock, type Screen } from '../terminal/screen-block.ts'
import type { DemoBoard } from './board.ts'
import type { ClientName, DemoWorker } from './mesh.ts'
import type { DemoQuestion } from './question.ts'
import { createStamp, type DemoView } from './view.ts'

/** Lines of the text that is being read along. */
const textLines = 3
/** Whose eyes the board sees the workers with. */
const observer: ClientName = 'bronze-1'

/** On a terminal the lines that stay go up, and the board is drawn below them. */
export function createScreenView(screen: Screen): DemoView {
  const stamp = createStamp()
  const block = new ScreenBlock(screen)
  let isClosed = false
  return {
    say: (text) => {
      if (!isClosed) block.say(stamp(text))
    },
    detail: () => undefined,
    show: (board) => {
      // Where there is too little room, what is read along matters most, and stands last.
      if (!isClosed) block.show(toLines(board, screen.columns).slice(-block.linesMax))
    },
    close: () => {
      if (!isClosed) block.show([])
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
