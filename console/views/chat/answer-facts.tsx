import { CopyButton } from '../../ui/copy-button.tsx'
import { many, toDuration } from '../../ui/format.ts'
import { WorkerName } from '../../ui/worker-name.tsx'
import { isOpen, type AnswerTurn } from './conversation.ts'

/** Who answers, how fast, and where the whole story is. */
export function AnswerFacts({ turn }: { readonly turn: AnswerTurn }) {
  const { workerId, model, state, text, requestId, tokens, firstTokenMs, totalMs } = turn
  const isSettled = !isOpen(turn)
  const streamMs = (totalMs ?? 0) - (firstTokenMs ?? 0)
  return (
    <div class="answer-facts">
      {workerId !== undefined && (
        <span>
          {isSettled ? 'answered by ' : 'answering: '}
          <WorkerName id={workerId} />
        </span>
      )}
      {model !== undefined && <span>{model}</span>}
      {isSettled && tokens !== undefined && (
        <span title={firstTokenMs === undefined ? undefined : `the first after ${toDuration(firstTokenMs)}`}>
          {many(tokens, 'token')}
        </span>
      )}
      {isSettled && tokens !== undefined && streamMs > 0 && tokens > 1 && (
        <span>{Math.round((tokens - 1) / (streamMs / 1_000))} tokens/s</span>
      )}
      {state === 'stopped' && <span>stopped</span>}
      {requestId !== undefined && (
        <a href={`#/requests/${requestId}`}>
          {workerId === undefined ? 'What was tried?' : 'Why this worker?'}
        </a>
      )}
      {isSettled && text !== '' && <CopyButton text={text} />}
    </div>
  )
}
