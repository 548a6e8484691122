import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { timeText } from './format.ts'
import { actor, moments, pause, pausedAt, placeHash, showMoment, step, store } from './view-state.ts'

/** Now, or a moment of the past: pause, go back and forth, and take its address with you. */
export function Scrubber() {
  const list = moments.value
  const at = pausedAt.value
  const isLive = at === undefined
  const index = isLive ? list.length - 1 : list.findLastIndex(({ seq }) => seq <= at)
  const entry = list[index]
  const later = isLive ? 0 : store.entries().filter(({ seq }) => seq > at).length
  const slider = useRef<HTMLInputElement>(null)
  useLayoutEffect(() => {
    if (!slider.current) return
    // In this order: a value beyond the old end would be cut to it.
    slider.current.max = String(Math.max(0, list.length - 1))
    slider.current.value = String(Math.max(0, index))
  }, [list.length, index])
  return (
    <div class={isLive ? 'mx-scrubber' : 'mx-scrubber mx-paused'} role="group" aria-label="Time">
      <button
        type="button"
        class="mx-primary"
        onClick={() => (isLive ? pause() : showMoment(undefined))}
        title={isLive ? 'Pause (space)' : 'Back to now (space)'}
      >
        {isLive ? '❚❚ Pause' : '▶ Live'}
      </button>
      <button
        type="button"
        onClick={() => step(-1)}
        disabled={index <= 0}
        title="One event back (←)"
        aria-label="One event back"
      >
        ◀
      </button>
      <input
        ref={slider}
        type="range"
        aria-label="Moment"
        aria-valuetext={entry ? `${timeText(entry.atMs)}, ${index + 1} of ${list.length}` : 'no moment'}
        min={0}
        disabled={list.length < 2}
        onInput={({ currentTarget }) => {
          const chosen = list[Number(currentTarget.value)]
          if (chosen) showMoment(chosen.seq)
        }}
      />
      <button
        type="button"
        onClick={() => step(1)}
        disabled={isLive}
        title="One event forward (→)"
        aria-label="One event forward"
      >
        ▶
      </button>
      <span class="mx-when" aria-live="off">
        {isLive ? (
          <>
            {store.link.value === 'live' ? (
              <>
                <span class="mx-live-dot" /> live
              </>
            ) : (
              'not live'
            )}
          </>
        ) : (
          <>
            {entry ? timeText(entry.atMs) : '–'}
            {later > 0 && <span class="mx-quiet"> · {later} later</span>}
          </>
        )}
      </span>
      <CopyLink />
    </div>
  )
}

function CopyLink() {
  const [isCopied, setCopied] = useState(false)
  const id = actor.value?.id
  const seq = pausedAt.value ?? moments.value.at(-1)?.seq
  if (id === undefined) return null
  const hash = placeHash(id, seq)
  return (
    <a
      class="mx-copy"
      href={hash}
      title="A link to this moment; a click copies it"
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return
        event.preventDefault()
        if (seq !== undefined) showMoment(seq)
        void navigator.clipboard
          ?.writeText(new URL(hash, location.href).href)
          .then(() => setCopied(true))
          .catch(() => {})
        setTimeout(() => setCopied(false), 1_500)
      }}
    >
      {isCopied ? 'Copied' : 'Link'}
    </a>
  )
}
