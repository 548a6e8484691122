import { getJson } from '../../api/call.ts'
import type { RequestSummary, RequestWhy } from '../../api/types.ts'
import { CopyButton } from '../../ui/copy-button.tsx'
import { Failure } from '../../ui/failure.tsx'
import { many, shortId, toDuration } from '../../ui/format.ts'
import { useLoaded } from '../../ui/use-loaded.ts'
import { AttemptCard } from './attempt-card.tsx'
import { ChoiceTable } from './choice-table.tsx'
import { StatePill } from './request-list.tsx'
import { Timeline } from './timeline.tsx'

interface TraceProps {
  readonly requestId: string
  /** As the feed tells it: whenever it changes there is more to tell. */
  readonly summary: RequestSummary | undefined
}

/** The whole story of a request: each try, what it was chosen from, and how it ended. */
export function RequestTrace({ requestId, summary }: TraceProps) {
  const { value, error } = useLoaded(
    // It is whatever stands in the address: a link may have been made by anybody.
    (signal) => getJson<RequestWhy>(`/v1/mesh/requests/${encodeURIComponent(requestId)}/why`, signal),
    [requestId, summary],
  )
  const why = value.value
  if (error.value && !why) return <Failure error={error.value} />
  if (!why) return <p class="quiet loading">Loading…</p>
  const { state, model, embedding, tokens, totalMs, tries, handovers, message, attempts, search } = why
  const facts = [
    `for ${embedding ? 'embeddings of ' : ''}${model ?? 'any model'}${why.localOnly ? ', on this machine only' : ''}`,
    ...(embedding ? [] : [many(tokens, 'token')]),
    ...(totalMs === undefined ? [] : [toDuration(totalMs)]),
    many(tries, 'try', 'tries'),
    ...(handovers > 0 ? [many(handovers, 'handover')] : []),
  ]
  return (
    <>
      <div class="trace-head">
        <h2>
          Request <code>{shortId(why.requestId)}</code>
        </h2>
        <StatePill request={why} />
        <CopyButton text={why.requestId} label="Copy id" />
      </div>
      <p class="quiet">{facts.join(' · ')}</p>
      {state === 'failed' && message !== undefined && <p class="ended-with">{message}</p>}
      {attempts.length > 0 && <Timeline why={why} />}
      {attempts.map((attempt, index) => (
        <AttemptCard
          key={index}
          attempt={attempt}
          number={tries - attempts.length + index + 1}
          isEmbedding={embedding === true}
        />
      ))}
      {search && (
        <section class="card attempt" aria-label="Last look">
          <h3>The last look found nobody</h3>
          <ChoiceTable choice={search} />
        </section>
      )}
    </>
  )
}
