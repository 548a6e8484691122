import { Failure } from '../../ui/failure.tsx'
import { toDuration, toSize } from '../../ui/format.ts'
import { Meter } from '../../ui/meter.tsx'
import { forgetPull, pull, pulls, stopPull, type Pull } from './pulls.ts'

const stages = {
  resolving: 'Asking its sources…',
  fetching: 'Fetching',
  waiting: 'Waiting for a source to come back',
  verifying: 'Checking every byte',
} as const

/** How far a model is on its way here. */
export function PullStatus({ name }: { readonly name: string }) {
  const current = pulls.value.get(name)
  if (!current) return null
  const { state, error, failures } = current
  return (
    <div class="pull" aria-label={`Fetching ${name}`} role="group">
      {state === 'coming' && <Coming current={current} />}
      {state === 'done' && (
        <p>
          <strong>It is here.</strong>{' '}
          {current.isServed ? (
            'This node answers with it.'
          ) : (
            <>
              To serve it: <code>qmesh-node up --model {current.progress?.id ?? name}</code>
            </>
          )}
        </p>
      )}
      {state === 'stopped' && (
        <p class="quiet">Stopped. What came is kept, and the next try goes on from there.</p>
      )}
      {error && <Failure error={error} />}
      {failures.map(({ source, message }) => (
        <p key={source} class="quiet">
          {source}: {message}
        </p>
      ))}
      <div class="row">
        {state === 'coming' ? (
          <button type="button" onClick={() => stopPull(name)}>
            Stop
          </button>
        ) : (
          <>
            {state !== 'done' && (
              <button type="button" onClick={() => void pull(name)}>
                Try again
              </button>
            )}
            <button type="button" class="plain" onClick={() => forgetPull(name)}>
              Dismiss
            </button>
          </>
        )}
      </div>
    </div>
  )
}

function Coming({ current: { progress } }: { readonly current: Pull }) {
  if (!progress) return <p role="status">Looking for somebody who knows it…</p>
  const { stage, doneBytes, totalBytes, bytesPerSecond, etaMs, source } = progress
  const facts = [
    `${toSize(doneBytes)}${totalBytes === undefined ? '' : ` of ${toSize(totalBytes)}`}`,
    ...(bytesPerSecond > 0 ? [`${toSize(bytesPerSecond)}/s`] : []),
    ...(etaMs === undefined ? [] : [`${toDuration(etaMs)} to go`]),
    ...(source === undefined ? [] : [`from ${source}`]),
  ]
  return (
    <>
      <p role="status">
        {stages[stage]} <span class="quiet">{facts.join(' · ')}</span>
      </p>
      <Meter value={doneBytes} max={totalBytes ?? 0} label="Fetched" tone="busy" />
    </>
  )
}
