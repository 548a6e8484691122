import type { Attempt, RequestWhy } from '../../api/types.ts'
import { shortId, toDuration } from '../../ui/format.ts'

/** One line a try: when it waited, when it wrote, when it was over. All lines share one scale. */
export function Timeline({ why }: { readonly why: RequestWhy }) {
  const { attempts } = why
  const ends = attempts.map(({ atMs, totalMs, firstTokenMs = 0 }) => atMs + (totalMs ?? firstTokenMs))
  // One that is under way has lasted until now.
  const nowMs = why.state === 'open' ? Date.now() - Date.parse(why.askedAt) : 0
  const endMs = Math.max(1, why.totalMs ?? nowMs, ...ends)
  return (
    <figure class="timeline">
      {attempts.map((attempt, index) => (
        <AttemptLine key={index} attempt={attempt} endMs={endMs} isOpen={why.state === 'open'} />
      ))}
      <figcaption class="quiet">
        <span>0</span>
        <span class="legend">
          <i class="wait" /> waiting and reading <i class="write" /> writing
        </span>
        <span>{toDuration(endMs)}</span>
      </figcaption>
    </figure>
  )
}

interface LineProps {
  readonly attempt: Attempt
  readonly endMs: number
  readonly isOpen: boolean
}

function AttemptLine({ attempt, endMs, isOpen }: LineProps) {
  const { workerId, atMs, firstTokenMs, totalMs = endMs - atMs, code } = attempt
  const share = (ms: number): string => `${(100 * Math.max(0, ms)) / endMs}%`
  const waitMs = Math.min(firstTokenMs ?? totalMs, totalMs)
  const isRunning = isOpen && attempt.totalMs === undefined
  return (
    <div class="timeline-line">
      <code>{shortId(workerId)}</code>
      <div class={`timeline-bar ${code === undefined ? '' : 'ended'} ${isRunning ? 'running' : ''}`}>
        <span style={{ width: share(atMs) }} />
        <span
          class="wait"
          style={{ width: share(waitMs) }}
          title={`waiting and reading: ${toDuration(waitMs)}`}
        />
        {firstTokenMs !== undefined && (
          <span
            class="write"
            style={{ width: share(totalMs - firstTokenMs) }}
            title={`writing: ${toDuration(totalMs - firstTokenMs)}`}
          />
        )}
      </div>
    </div>
  )
}
