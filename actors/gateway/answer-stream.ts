import type { ToolCallDelta } from '../../machines/tools/index.ts'
import type { AnswerChunk } from '../request/answer-log.ts'
import type { AnswerResult, Handover } from '../request/answer.ts'
import type { AnswerSet } from './answer-set.ts'

/** What the reader of a streamed call is told, in order. */
export type StreamEvent =
  | { readonly type: 'text'; readonly index: number; readonly text: string }
  | { readonly type: 'calls'; readonly index: number; readonly deltas: readonly ToolCallDelta[] }
  | { readonly type: 'end'; readonly index: number; readonly result: AnswerResult }
  /** For people and proxies; programs skip it. */
  | { readonly type: 'comment'; readonly text: string }

type Arrival =
  | { readonly index: number; readonly next: IteratorResult<AnswerChunk, undefined> }
  | { readonly error: unknown }

/**
 * Joins the answers of a call into one stream. Nothing is read of an answer before the reader wants more: a slow reader
 * slows the workers, and what waits here is one chunk of each answer, one place in the queue and one sign of life.
 *
 * @param heartbeatMs of silence after which a comment says that the stream lives
 * @throws AnswerError of the first answer that fails; the others are cancelled then, and when the reader leaves
 */
export async function* readAnswers(set: AnswerSet, heartbeatMs: number): AsyncGenerator<StreamEvent, void> {
  const arrived: Arrival[] = []
  const notices = new Map<string, string>()
  let wake = (): void => {}
  const notice = (kind: string, text: string): void => {
    notices.set(kind, text)
    wake()
  }
  const heart = setInterval(() => notice('heart', 'still here'), heartbeatMs)
  /** Told where they happened: the reader may be behind. */
  const handovers = set.answers.map((): Handover[] => [])
  const read = set.answers.map(() => 0)
  const iterators = set.answers.map((answer, index) => {
    answer.on('queued', ({ position, etaMs }) => {
      const about = set.answers.length > 1 ? ` of answer ${index}` : ''
      // A slot has it: what comes next is the answer itself.
      if (position > 0)
        notice(`queue ${index}`, `place${about} in the queue: ${position}, about ${etaMs} ms to go`)
    })
    answer.on('handover', (handover) => handovers[index]?.push(handover))
    return answer[Symbol.asyncIterator]()
  })
  const pull = (index: number): void => {
    iterators[index]?.next().then(
      (next) => {
        arrived.push({ index, next })
        wake()
      },
      (error: unknown) => {
        arrived.push({ error })
        wake()
      },
    )
  }
  const wanted = new Set(iterators.keys())
  let open = iterators.length
  try {
    while (open > 0) {
      for (const index of wanted) pull(index)
      wanted.clear()
      while (arrived.length === 0 && notices.size === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      for (const text of takeAll(notices)) yield { type: 'comment', text }
      const arrival = arrived.shift()
      if (!arrival) continue
      if ('error' in arrival) throw arrival.error
      const { index, next } = arrival
      for (let first = handovers[index]?.[0]; first && first.afterTokens <= (read[index] ?? 0);) {
        yield { type: 'comment', text: toText(first) }
        handovers[index]?.shift()
        first = handovers[index]?.[0]
      }
      if (!next.done) {
        wanted.add(index)
        heart.refresh()
        read[index] = (read[index] ?? 0) + next.value.tokens.length
        const { text, toolCalls: deltas } = next.value
        if (text !== '') yield { type: 'text', index, text }
        if (deltas) yield { type: 'calls', index, deltas }
        continue
      }
      open--
      const result = await set.answers[index]?.result
      if (result) yield { type: 'end', index, result }
    }
  } finally {
    clearInterval(heart)
    set.abort()
  }
}

const toText = ({ from, to, afterTokens, gapMs, code }: Handover): string =>
  `continued on another worker: from ${from} to ${to} after ${afterTokens} tokens and ${Math.round(gapMs)} ms (${code})`

function takeAll(notices: Map<string, string>): string[] {
  const texts = [...notices.values()]
  notices.clear()
  return texts
}
