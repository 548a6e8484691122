import type { Attempt } from '../../api/types.ts'
import { many, toDuration } from '../../ui/format.ts'
import { WorkerName } from '../../ui/worker-name.tsx'
import { ChoiceTable } from './choice-table.tsx'

interface AttemptProps {
  readonly attempt: Attempt
  /** From 1. */
  readonly number: number
  readonly isEmbedding: boolean
}

/** One try at one worker: why it, and what came of it. */
export function AttemptCard({ attempt, number, isEmbedding }: AttemptProps) {
  const { workerId, modelId, atMs, code, message, choice } = attempt
  return (
    <section class="card attempt" aria-label={`Try ${number}`}>
      <div class="card-head">
        <h3>
          Try {number}: <WorkerName id={workerId} />
        </h3>
        <span class="quiet">
          {modelId}, at {toDuration(atMs)}
        </span>
      </div>
      <p>{story(attempt, isEmbedding)}</p>
      {code !== undefined && (
        <p class="ended-with">
          Ended with <code>{code}</code>
          {message === undefined ? '' : `: ${message}`}
        </p>
      )}
      {choice && (
        <details open={number === 1}>
          <summary>Why this worker</summary>
          <ChoiceTable choice={choice} />
        </details>
      )}
    </section>
  )
}

function story({ queued, firstTokenMs, totalMs, tokens, handover }: Attempt, isEmbedding: boolean): string {
  const facts = [
    ...(handover
      ? [`went on after ${many(handover.afterTokens, 'token')} and a gap of ${toDuration(handover.gapMs)}`]
      : []),
    ...(queued && queued.position > 0
      ? [`place ${queued.position} in its queue, about ${toDuration(queued.etaMs)}`]
      : []),
    ...(firstTokenMs === undefined ? [] : [`first token after ${toDuration(firstTokenMs)}`]),
    ...(isEmbedding ? [] : [many(tokens, 'token')]),
    totalMs === undefined ? 'still under way' : `over after ${toDuration(totalMs)}`,
  ]
  const text = facts.join(', ')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
