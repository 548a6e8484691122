import type { Credit, ScoreReport } from '../../api/types.ts'
import { many, toDuration, toPoints } from '../../ui/format.ts'
import { Meter } from '../../ui/meter.tsx'
import { TierBadge } from '../../ui/tier-badge.tsx'
import { EntryRow } from './entry-row.tsx'
import { nextTier } from './tiers.ts'

interface OwnProps {
  readonly report: ScoreReport
  readonly credit: Credit
}

/** What this node has done for the mesh, what that gives it, and what it may spend. */
export function OwnAccount({ report, credit }: OwnProps) {
  const { score, tier, headStartMs, counts, banned } = report
  const next = nextTier(score)
  return (
    <section class="own-account" aria-label="Your account">
      <div class="card">
        <div class="card-head">
          <h2>Your score</h2>
          <TierBadge tier={tier} />
        </div>
        <p class="big-number">
          {toPoints(score)} <small>points</small>
        </p>
        {headStartMs > 0 && (
          <p>
            What you pay for waits <strong>{toDuration(headStartMs)}</strong> less than a newcomer’s request.
          </p>
        )}
        {next && (
          <>
            <Meter value={next.share} max={1} label={`On the way to ${next.tier}`} tone="busy" />
            <p class="quiet">
              {toPoints(next.points - score)} to {next.tier}. Every few points shorten the wait in every
              queue.
            </p>
          </>
        )}
        {banned !== undefined && <p class="ended-with">Banned: {banned}</p>}
        <p class="quiet">
          {counts.counted + counts.pending === 0
            ? 'Nothing counts yet. Points come from answering others: serve a model.'
            : `${many(counts.counted, 'receipt')} count${counts.counted === 1 ? 's' : ''}, ${counts.pending} still being checked.`}
        </p>
      </div>
      <div class="card">
        <div class="card-head">
          <h2>Your credit</h2>
        </div>
        <p class="big-number">
          {toPoints(credit.available)} <small>to spend</small>
        </p>
        <dl class="sums">
          <Sum label="earned by answering" value={credit.earned} />
          <Sum label="paid for answers" value={-credit.paid} />
          <Sum label="balance" value={credit.balance} />
          <Sum label="trust you are given on top" value={credit.line} />
          {credit.pending > 0 && <Sum label="earned, not final yet" value={credit.pending} />}
        </dl>
        {credit.entries.length > 0 && (
          <details>
            <summary>What was earned and paid</summary>
            <ul class="rows">
              {credit.entries.map((entry) => (
                <EntryRow key={entry.index} entry={entry} />
              ))}
            </ul>
          </details>
        )}
      </div>
    </section>
  )
}

function Sum({ label, value }: { readonly label: string; readonly value: number }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{toPoints(value)}</dd>
    </div>
  )
}
