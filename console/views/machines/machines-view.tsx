import { effect } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Chart } from './chart.tsx'
import { ActorLink, Details, stateText } from './details.tsx'
import { EventLog } from './event-log.tsx'
import { feed } from './feed.ts'
import { durationText } from './format.ts'
import { machinesStyle } from './machines-style.ts'
import { Scrubber } from './scrubber.tsx'
import { Tree } from './tree.tsx'
import {
  actor,
  arrive,
  chosen,
  goTo,
  missing,
  moment,
  pause,
  pausedAt,
  showMoment,
  step,
  store,
} from './view-state.ts'

/** The statecharts that the node is running: who lives, where each one stands, and what led there. */
export default function MachinesView() {
  useEffect(() => {
    const leaving = new AbortController()
    const { signal } = leaving
    void feed(store, signal)
    const onMove = (): void => goTo(location.hash)
    onMove()
    let run = ''
    const stop = effect(() => {
      void store.version.value
      if (store.run.value === run) return
      run = store.run.value
      queueMicrotask(arrive)
    })
    addEventListener('hashchange', onMove, { signal })
    addEventListener('popstate', onMove, { signal })
    addEventListener('keydown', onKeyDown, { signal })
    return () => {
      leaving.abort()
      stop()
    }
  }, [])
  const shown = actor.value
  const at = moment.value
  return (
    <div class={pausedAt.value === undefined ? 'mx' : 'mx mx-is-paused'}>
      <style>{machinesStyle}</style>
      <aside class="mx-side">
        <h1>Machines</h1>
        <Tree />
      </aside>
      <section class="mx-stage" aria-label="Statechart">
        <LinkState />
        {shown && (
          <header class="mx-head">
            <h2>
              {shown.view.name === 'child' ? (shown.view.systemId ?? shown.view.name) : shown.view.name}
            </h2>
            <span class={`mx-badge mx-badge-${at?.status ?? 'active'}`} data-state={stateText()}>
              {stateText() || at?.status}
            </span>
            <Facts />
          </header>
        )}
        {missing.value !== '' && <p class="mx-banner">{missing.value}</p>}
        {shown?.view.graph !== undefined ? (
          <Chart
            graphId={shown.view.graph}
            subject={chosen.value}
            value={at?.value}
            fired={at?.entry?.edges ?? []}
            firedKey={at?.entry?.seq ?? 0}
            name={shown.view.name}
          />
        ) : (
          <div class="mx-nothing">
            {shown ? (
              <p>
                <strong>{shown.view.source}</strong> is no machine: it does its work in code, and has a status
                but no states. It is <strong>{shown.status}</strong>.
              </p>
            ) : (
              <p>{store.link.value === 'connecting' ? 'Looking for actors…' : 'Choose an actor.'}</p>
            )}
          </div>
        )}
        <Scrubber />
      </section>
      <aside class="mx-facts">
        <Details />
        <EventLog />
      </aside>
    </div>
  )
}

function Facts() {
  const shown = actor.value
  const entry = moment.value?.entry
  if (!shown) return null
  const { view, events, generation } = shown
  const parent = view.parent === undefined ? undefined : store.get(store.heirOf(view.parent))
  const facts = [
    events > 0 && `${events} ${events === 1 ? 'event' : 'events'}`,
    entry?.us !== undefined && `last took ${durationText(entry.us)}`,
    generation > 0 && `started again ${generation === 1 ? 'once' : `${generation} times`}`,
  ].filter(Boolean)
  return (
    <span class="mx-quiet mx-of">
      {view.source !== view.name && `${view.source} `}
      {parent && (
        <>
          below <ActorLink id={parent.id} />
          {facts.length > 0 && ' · '}
        </>
      )}
      {facts.join(' · ')}
    </span>
  )
}

function LinkState() {
  const { link, failure } = store
  if (link.value === 'live') return null
  const text = {
    connecting: failure.value,
    lost: `${failure.value || 'The node is out of reach.'} Trying again…`,
    ended: failure.value || 'The node has stopped. This is what it was doing last.',
  }[link.value]
  return text ? (
    <p class="mx-banner mx-bad" role="status">
      {text}
    </p>
  ) : null
}

/** Keys that work wherever nothing else wants them. */
function onKeyDown(event: KeyboardEvent): void {
  const { target } = event
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return
  if (
    target instanceof Element &&
    target.closest('input, textarea, select, button, a, summary, dialog, [role=tree]')
  ) {
    return
  }
  const keys: Record<string, () => void> = {
    ' ': () => (pausedAt.value === undefined ? pause() : showMoment(undefined)),
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
  }
  const act = keys[event.key]
  if (!act) return
  event.preventDefault()
  act()
}
