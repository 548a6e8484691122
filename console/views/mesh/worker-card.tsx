import type { Worker } from '../../api/types.ts'
import { accountOf } from '../../mesh/accounts.ts'
import { many, toCount, toDuration } from '../../ui/format.ts'
import { Meter } from '../../ui/meter.tsx'
import { Pill } from '../../ui/pill.tsx'
import { TierBadge } from '../../ui/tier-badge.tsx'
import { WorkerName } from '../../ui/worker-name.tsx'
import { toState } from './worker-state.ts'

/** Everything that is known of one worker. */
export function WorkerCard({
  worker,
  isSelected,
}: {
  readonly worker: Worker
  readonly isSelected: boolean
}) {
  const { workerId, models, healthScore, slots, slotsBusy, queueLength, queueCapacity } = worker
  const { tone, text } = toState(worker)
  const account = accountOf(workerId)
  return (
    <li class={`card worker-card ${isSelected ? 'selected' : ''}`} data-worker={workerId}>
      <div class="card-head">
        <WorkerName id={workerId} />
        <Pill tone={tone}>{text}</Pill>
      </div>
      <dl class="facts">
        <div>
          <dt>health</dt>
          <dd>
            <Meter value={Math.round(healthScore)} max={100} label="Health" tone={healthTone(healthScore)} />
            {Math.round(healthScore)}
          </dd>
        </div>
        <div>
          <dt>slots</dt>
          <dd>
            <Meter value={slotsBusy} max={slots} label="Busy slots" tone="busy" />
            {slotsBusy}/{slots}
          </dd>
        </div>
        <div>
          <dt>queue</dt>
          <dd>
            <Meter value={queueLength} max={queueCapacity} label="Queue" tone="warn" />
            {queueLength}/{queueCapacity}
          </dd>
        </div>
      </dl>
      <p class="card-line">
        {models.map(({ id }) => (
          <span key={id} class="chip">
            {id}
          </span>
        ))}
        {account && <TierBadge tier={account.tier} />}
        {models.length === 0 && <span class="quiet">no model yet</span>}
      </p>
      <p class="card-line quiet">{experience(worker)}</p>
    </li>
  )
}

const healthTone = (score: number) => (score >= 60 ? 'good' : score >= 20 ? 'warn' : 'bad')

/** What this node measured itself: a worker's own word is not taken for it. */
function experience({ answers, tokensPerSecond, firstTokenMs, failuresInRow, inFlight }: Worker): string {
  const facts = [
    ...(inFlight > 0 ? [`${many(inFlight, 'request')} of yours now`] : []),
    ...(tokensPerSecond === undefined ? [] : [`${toCount(tokensPerSecond)} tokens/s`]),
    ...(firstTokenMs === undefined ? [] : [`first token ${toDuration(firstTokenMs)}`]),
    ...(answers > 0 ? [many(answers, 'answer')] : []),
    ...(failuresInRow > 0 ? [`${many(failuresInRow, 'failure')} in a row`] : []),
  ]
  return facts.length > 0 ? facts.join(' · ') : 'not asked yet, so nothing measured'
}
