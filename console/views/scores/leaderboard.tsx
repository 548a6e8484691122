import { getJson } from '../../api/call.ts'
import type { ScoreReport, ScoreRow } from '../../api/types.ts'
import { Failure } from '../../ui/failure.tsx'
import { toCount, toDuration, toPoints } from '../../ui/format.ts'
import { TierBadge } from '../../ui/tier-badge.tsx'
import { useLoaded } from '../../ui/use-loaded.ts'
import { WorkerName } from '../../ui/worker-name.tsx'
import { ScoreReasons } from './score-reasons.tsx'

/** Milliseconds between two looks at what an account's log says. */
const refreshMs = 2_000

interface BoardProps {
  readonly rows: readonly ScoreRow[]
  /** The account that is looked into. */
  readonly selectedId: string
}

/** Everybody this node has heard of, the best first. */
export function Leaderboard({ rows, selectedId }: BoardProps) {
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="Leaderboard">
      <table>
        <thead>
          <tr>
            <th scope="col">#</th>
            <th scope="col">Account</th>
            <th scope="col">Tier</th>
            <th scope="col">Head start</th>
            <th scope="col">Score</th>
            <th scope="col">Answers</th>
            <th scope="col">Reputation</th>
            <th scope="col">Balance</th>
            <th scope="col">
              <span class="sr">Details</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <BoardRow key={row.id} row={row} place={index + 1} isSelected={row.id === selectedId} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function BoardRow({ row, place, isSelected }: { row: ScoreRow; place: number; isSelected: boolean }) {
  const { id, tier, headStartMs, score, receipts, reputation, balance, banned, isSelf } = row
  return (
    <>
      <tr class={isSelf ? 'chosen' : ''}>
        <td>{place}</td>
        <th scope="row">
          <WorkerName id={id} />
        </th>
        <td>{banned === undefined ? <TierBadge tier={tier} /> : <span class="ended-with">banned</span>}</td>
        <td>{banned === undefined && headStartMs > 0 ? toDuration(headStartMs) : '–'}</td>
        <td>{toPoints(score)}</td>
        <td>{toCount(receipts)}</td>
        <td>{reputation.toFixed(2)}</td>
        <td>{toPoints(balance)}</td>
        <td>
          <a href={isSelected ? '#/scores' : `#/scores/${id}`} aria-expanded={isSelected}>
            {isSelected ? 'Close' : 'Why?'}
          </a>
        </td>
      </tr>
      {isSelected && (
        <tr>
          <td colSpan={9}>
            <AccountReasons id={id} />
          </td>
        </tr>
      )}
    </>
  )
}

function AccountReasons({ id }: { readonly id: string }) {
  const { value, error } = useLoaded(
    (signal) => getJson<ScoreReport>(`/v1/mesh/scores/${id}/why`, signal),
    [id],
    refreshMs,
  )
  if (error.value && !value.value) return <Failure error={error.value} />
  return value.value ? <ScoreReasons report={value.value} /> : <p class="quiet loading">Loading…</p>
}
