import type { ScoreReport } from '../../api/types.ts'
import { many, toPoints } from '../../ui/format.ts'
import { WorkerName } from '../../ui/worker-name.tsx'
import { EntryRow } from './entry-row.tsx'

/** Where a score comes from, down to the receipt. */
export function ScoreReasons({ report }: { readonly report: ScoreReport }) {
  const { funded, unfunded, achievements, clients, entries, reputation } = report
  return (
    <div class="score-reasons">
      <dl class="sums">
        <div>
          <dt>paid answers</dt>
          <dd>
            {toPoints(funded.counted)} <small class="quiet">of {toPoints(funded.raw)} counted</small>
          </dd>
        </div>
        <div>
          <dt>answers to newcomers</dt>
          <dd>
            {toPoints(unfunded.counted)} <small class="quiet">of {toPoints(unfunded.raw)} counted</small>
          </dd>
        </div>
        {achievements.map(({ id, why, points }) => (
          <div key={id}>
            <dt>
              {id}: {why}
            </dt>
            <dd>{toPoints(points)}</dd>
          </div>
        ))}
        <div>
          <dt>reputation</dt>
          <dd>{toPoints(reputation)}</dd>
        </div>
      </dl>
      {clients.length > 0 && (
        <>
          <h3>For whom</h3>
          <ul class="rows">
            {clients.map(({ id, receipts, counted }) => (
              <li key={id}>
                <WorkerName id={id} />
                <span class="quiet">{many(receipts, 'answer')}</span>
                <span>{toPoints(counted)} points</span>
              </li>
            ))}
          </ul>
        </>
      )}
      {entries.length > 0 && (
        <>
          <h3>Latest entries of its log</h3>
          <ul class="rows">
            {entries.map((entry) => (
              <EntryRow key={entry.index} entry={entry} />
            ))}
          </ul>
        </>
      )}
    </div>
  )
}
