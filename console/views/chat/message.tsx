import { memo } from 'preact/compat'
import { ApiError } from '../../api/api-error.ts'
import { Failure } from '../../ui/failure.tsx'
import { toDuration } from '../../ui/format.ts'
import { AnswerFacts } from './answer-facts.tsx'
import { AnswerText } from './answer-text.tsx'
import { ask } from './ask.ts'
import { isRunning, takeLastQuestion, type AnswerTurn, type Turn } from './conversation.ts'

/** One turn of the conversation. Those that did not change are not drawn again while another grows. */
export const Message = memo(({ turn, isLast }: { readonly turn: Turn; readonly isLast: boolean }) =>
  turn.role === 'user' ? (
    <article class="turn question" aria-label="You">
      <div class="bubble">{turn.text}</div>
    </article>
  ) : (
    <article
      class="turn answer"
      aria-label="Answer"
      aria-busy={turn.state === 'asking' || turn.state === 'answering'}
    >
      {turn.state === 'asking' && <Waiting turn={turn} />}
      <AnswerText text={turn.text} marks={turn.marks} />
      {turn.state === 'answering' && <span class="cursor" aria-hidden="true" />}
      {turn.error && (
        <Failure error={new ApiError(turn.error.message, turn.error)}>
          {isLast && (
            <button
              type="button"
              onClick={() => {
                const text = isRunning.value ? undefined : takeLastQuestion()
                if (text !== undefined) void ask(text)
              }}
            >
              Ask again
            </button>
          )}
        </Failure>
      )}
      <AnswerFacts turn={turn} />
    </article>
  ),
)

function Waiting({ turn: { place, workerId } }: { readonly turn: AnswerTurn }) {
  const text = place
    ? `Place ${place.position} in the queue, about ${toDuration(place.etaMs)} to go`
    : workerId === undefined
      ? 'Finding a worker…'
      : 'The worker is reading…'
  return (
    <p class="waiting" role="status">
      <span class="pulse" aria-hidden="true" />
      {text}
    </p>
  )
}
