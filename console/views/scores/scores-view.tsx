import { useEffect } from 'preact/hooks'
import { getJson } from '../../api/call.ts'
import type { Credit, ScoreReport } from '../../api/types.ts'
import { route } from '../../frame/router.ts'
import { accounts, hasBooks, refreshAccounts } from '../../mesh/accounts.ts'
import { node } from '../../mesh/feed.ts'
import { Empty } from '../../ui/empty.tsx'
import { Failure } from '../../ui/failure.tsx'
import { useLoaded } from '../../ui/use-loaded.ts'
import { Leaderboard } from './leaderboard.tsx'
import { OwnAccount } from './own-account.tsx'

/** Milliseconds between two looks. */
const refreshMs = 2_000

/** Who does how much for the mesh, and what this node has of it. */
export default function ScoresView() {
  useEffect(() => {
    void refreshAccounts()
    const timer = setInterval(() => void refreshAccounts(), refreshMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <>
      <div class="view-head">
        <h1>Scores</h1>
        <p class="quiet">Computed here, from receipts that both sides signed. Nobody else’s word is in it.</p>
      </div>
      {hasBooks.value === false ? (
        <Empty title="This node keeps no books">
          It has no data directory, so it earns nothing and pays nothing.
        </Empty>
      ) : (
        <>
          {node.value && <Own id={node.value.id} />}
          <section class="card">
            <h2>Leaderboard</h2>
            {accounts.value.length === 0 ? (
              <Empty title="Nobody has written anything yet" />
            ) : (
              <Leaderboard rows={accounts.value} selectedId={route.value.rest} />
            )}
          </section>
        </>
      )}
    </>
  )
}

function Own({ id }: { readonly id: string }) {
  const { value, error } = useLoaded(
    async (signal) => {
      const [report, credit] = await Promise.all([
        getJson<ScoreReport>(`/v1/mesh/scores/${id}/why`, signal),
        getJson<Credit>('/v1/mesh/credit', signal),
      ])
      return { report, credit }
    },
    [id],
    refreshMs,
  )
  if (value.value) return <OwnAccount {...value.value} />
  return error.value ? <Failure error={error.value} /> : <p class="quiet loading">Loading…</p>
}
