import type { HistoryEntry } from '../../api/types.ts'
import { many, toClock, toDuration, toPoints } from '../../ui/format.ts'
import { WorkerName } from '../../ui/worker-name.tsx'

/** One entry of an account's log: an answer that it gave, a payment, or a name that it took. */
export function EntryRow({ entry }: { readonly entry: HistoryEntry }) {
  if (entry.type === 'card') return <li>took the name “{entry.name}”</li>
  const at = <time dateTime={entry.at}>{toClock(entry.at)}</time>
  if (entry.type === 'payment') {
    return (
      <li>
        {at}
        <span>
          paid <WorkerName id={entry.workerId} />
        </span>
        <span>{toPoints(-entry.amount)} credits</span>
      </li>
    )
  }
  const { clientId, tokens, milliseconds, speed, complexity, quality, price } = entry
  return (
    <li>
      {at}
      <span>
        answered <WorkerName id={clientId} />{' '}
        <span class="quiet">
          {many(tokens, 'token')} in {toDuration(milliseconds)}
        </span>
      </span>
      <span>
        speed {speed} + complexity {complexity} + quality {quality}
        {price > 0 ? `, ${toPoints(price)} credits` : ''}
      </span>
    </li>
  )
}
