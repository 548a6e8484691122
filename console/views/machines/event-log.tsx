import type { InspectionEntry } from '../../../protocol/inspection.ts'
import { durationText, eventText, timeText, valueText } from './format.ts'
import { eventFilter, listed, pausedAt, scope, showMoment, store, type Scope } from './view-state.ts'

/** Rows that are drawn. */
const rowsMax = 150

const scopes: readonly (readonly [Scope, string])[] = [
  ['actor', 'This actor'],
  ['below', 'And below'],
  ['all', 'All'],
]

/** What happened, the latest first; each row leads to its moment. */
export function EventLog() {
  const entries = listed.value
  const dropped = store.droppedEntries.value
  return (
    <section class="mx-log" aria-label="Events">
      <div class="mx-log-head">
        <div class="mx-scopes" role="group" aria-label="Whose events">
          {scopes.map(([name, text]) => (
            <button
              key={name}
              type="button"
              aria-pressed={scope.value === name}
              onClick={() => (scope.value = name)}
            >
              {text}
            </button>
          ))}
        </div>
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter events"
          value={eventFilter.value}
          onInput={({ currentTarget }) => (eventFilter.value = currentTarget.value)}
        />
      </div>
      <ol class="mx-entries">
        {entries.slice(0, rowsMax).map((entry) => (
          <Entry key={entry.seq} entry={entry} />
        ))}
      </ol>
      {entries.length === 0 && <p class="mx-note">Nothing has happened since you look.</p>}
      {entries.length > rowsMax && (
        <p class="mx-note">… and {entries.length - rowsMax} earlier ones: a filter finds them.</p>
      )}
      {dropped > 0 && <p class="mx-note">{dropped} events came too fast to be told.</p>}
    </section>
  )
}

function Entry({ entry }: { readonly entry: InspectionEntry }) {
  const { seq, atMs, actor } = entry
  const isShown = pausedAt.value === seq
  return (
    <li class={`mx-entry mx-entry-${entry.kind}`}>
      <button
        type="button"
        aria-current={isShown ? 'true' : undefined}
        onClick={() => showMoment(seq, store.get(actor) ? actor : undefined)}
      >
        <time>{timeText(atMs)}</time>
        <span class="mx-entry-what">
          <Words entry={entry} />
        </span>
        <span class="mx-entry-who">{store.nameOf(actor)}</span>
        {entry.kind === 'event' && (
          <>
            <span class="mx-entry-value">{valueText(entry.value)}</span>
            <span class="mx-entry-us">{durationText(entry.us)}</span>
          </>
        )}
      </button>
    </li>
  )
}

function Words({ entry }: { readonly entry: InspectionEntry }) {
  switch (entry.kind) {
    case 'added':
      return <>came to life</>
    case 'ended':
      return <>{entry.status === 'error' ? 'failed' : entry.status === 'done' ? 'finished' : 'was stopped'}</>
    default:
      return (
        <>
          {eventText(entry.event)}
          {entry.outcome === 'lost' && <em> too late</em>}
        </>
      )
  }
}
