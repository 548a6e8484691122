import { memo } from 'preact/compat'
import type { RequestSummary } from '../../api/types.ts'
import { many, shortId, toClock, toDuration } from '../../ui/format.ts'
import { Pill } from '../../ui/pill.tsx'

interface ListProps {
  /** The latest first. */
  readonly list: readonly RequestSummary[]
  readonly selectedId: string | undefined
}

export function RequestList({ list, selectedId }: ListProps) {
  return (
    <ul class="request-list" aria-label="Requests">
      {list.map((request) => (
        <RequestRow key={request.requestId} request={request} isSelected={request.requestId === selectedId} />
      ))}
    </ul>
  )
}

const RequestRow = memo(
  ({ request, isSelected }: { readonly request: RequestSummary; readonly isSelected: boolean }) => {
    const { requestId, askedAt, model, embedding, tokens, totalMs, handovers, tries } = request
    const facts = [
      embedding ? 'embeddings' : many(tokens, 'token'),
      ...(totalMs === undefined ? [] : [toDuration(totalMs)]),
      ...(handovers > 0 ? [many(handovers, 'handover')] : []),
      ...(tries > 1 && handovers === 0 ? [many(tries, 'try', 'tries')] : []),
    ]
    return (
      <li>
        <a href={`#/requests/${requestId}`} aria-current={isSelected ? 'true' : undefined}>
          <span class="request-top">
            <code>{shortId(requestId)}</code>
            <StatePill request={request} />
            <time dateTime={askedAt}>{toClock(askedAt)}</time>
          </span>
          <span class="quiet">
            {model ?? 'any model'} · {facts.join(' · ')}
          </span>
        </a>
      </li>
    )
  },
)

export function StatePill({ request: { state, code } }: { readonly request: RequestSummary }) {
  if (state === 'answered') return <Pill tone="good">answered</Pill>
  if (state === 'open') return <Pill tone="busy">under way</Pill>
  return code === 'QM_CANCELLED' ? <Pill tone="idle">stopped</Pill> : <Pill tone="bad">failed</Pill>
}
