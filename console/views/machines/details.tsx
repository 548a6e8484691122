import { durationText, eventText, timeText, valueText } from './format.ts'
import { Fields } from './safe-view.tsx'
import { actor, moment, momentBefore, pausedAt, placeHash, select, store } from './view-state.ts'

/** The actor that is shown: where it stands, what led there, and what it keeps in mind. */
export function Details() {
  const shown = actor.value
  const at = moment.value
  if (!shown || !at) return null
  const { entry } = at
  const isBefore = pausedAt.value !== undefined && entry === undefined
  return (
    <section class="mx-details" aria-label="The actor">
      {at.status === 'error' && shown.because !== undefined && (
        <div class="mx-card mx-card-bad">
          <h3>Failed with</h3>
          <Fields value={shown.because} empty="no reason" />
        </div>
      )}
      {isBefore && <p class="mx-note">Nothing of this actor is remembered from before this moment.</p>}
      {entry && (
        <div class="mx-card">
          <h3>{pausedAt.value === undefined ? 'Last event' : 'Event'}</h3>
          <p class="mx-event-name">
            <strong>{eventText(entry.event)}</strong>
            <time>{timeText(entry.atMs)}</time>
          </p>
          <dl class="mx-fields">
            <div>
              <dt>from</dt>
              <dd>
                <ActorLink id={entry.source} self={shown.id} />
              </dd>
            </div>
            {entry.us !== undefined && (
              <div>
                <dt>took</dt>
                <dd>
                  <code class="mx-number">{durationText(entry.us)}</code>
                  {(entry.waitUs ?? 0) >= 50 && <> after waiting {durationText(entry.waitUs)}</>}
                </dd>
              </div>
            )}
            {(entry.edges?.length ?? 0) > 1 && (
              <div>
                <dt>led</dt>
                <dd>
                  {entry.edges?.map((edge, index) => (
                    <div key={index}>{edgeText(edge)}</div>
                  ))}
                </dd>
              </div>
            )}
            {entry.actions && (
              <div>
                <dt>did</dt>
                <dd>
                  <code>{entry.actions.map((name) => name.replace(/^xstate\./, '')).join(', ')}</code>
                </dd>
              </div>
            )}
            {entry.edges?.length === 0 && (
              <div>
                <dt>led</dt>
                <dd>nowhere: no transition takes it here</dd>
              </div>
            )}
          </dl>
          {entry.detail !== undefined && <Fields value={entry.detail} empty="" />}
        </div>
      )}
      <div class="mx-card">
        <h3>Context</h3>
        <Fields
          value={at.context}
          before={momentBefore.value?.context}
          empty={shown.view.graph === undefined ? 'This kind of actor has none.' : 'Nothing to show.'}
        />
      </div>
    </section>
  )
}

/** `attempting: attempt.failed`, of an id of a transition. */
function edgeText(edge: string): string {
  const [source = '', event = ''] = edge.split('|')
  const words = event === '' ? 'always' : eventText(event)
  return source === '' ? words : `${source}: ${words}`
}

/** Another actor by its name, to go there. */
export function ActorLink({ id, self }: { readonly id: string | undefined; readonly self?: string }) {
  if (id === undefined) return <span class="mx-quiet">outside</span>
  if (id === self) return <span class="mx-quiet">itself</span>
  const known = store.get(id)
  if (!known) return <span class="mx-quiet">{store.nameOf(id)}</span>
  return (
    <a
      href={placeHash(id, pausedAt.value)}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return
        event.preventDefault()
        select(id)
      }}
    >
      {store.nameOf(id)}
    </a>
  )
}

export const stateText = (): string => {
  const at = moment.value
  if (!at) return ''
  return at.status === 'active' || at.status === 'done' ? valueText(at.value) : at.status
}
