import { useSignal } from '@preact/signals'
import { link, node, requests, workers } from '../../mesh/feed.ts'
import { Empty } from '../../ui/empty.tsx'
import { many } from '../../ui/format.ts'
import { MeshPicture } from './mesh-picture.tsx'
import { NodePanel } from './node-panel.tsx'
import { WorkerCard } from './worker-card.tsx'

/** Who is there, how they are, and what flows, as it happens. */
export default function MeshView() {
  const selected = useSignal<string | undefined>(undefined)
  const status = node.value
  if (!status)
    return <p class="quiet loading">{link.value === 'lost' ? 'The node does not answer.' : 'Loading…'}</p>
  // By id: a worker keeps its place whatever changes.
  const all = [...workers.value.values()].toSorted((a, b) => (a.workerId < b.workerId ? -1 : 1))
  const open = [...requests.value.values()].filter(({ state }) => state === 'open').length
  return (
    <>
      <div class="view-head">
        <h1>Mesh</h1>
        <p class="quiet" role="status">
          {link.value === 'live'
            ? `live, ${many(all.length, 'worker')} known`
            : 'not live: trying to reach the node'}
        </p>
      </div>
      <NodePanel node={status} open={open} />
      <MeshPicture
        node={status}
        others={all.filter(({ isLocal }) => !isLocal)}
        selected={selected.value}
        onSelect={(workerId) => (selected.value = workerId)}
      />
      {all.length === 0 ? (
        <Empty title="No worker is known yet">
          Start one on this machine or another with <code>qmesh-node up</code>; it appears here by itself.
        </Empty>
      ) : (
        <ul class="cards" aria-label="Workers">
          {all.map((worker) => (
            <WorkerCard
              key={worker.workerId}
              worker={worker}
              isSelected={worker.workerId === selected.value}
            />
          ))}
        </ul>
      )}
    </>
  )
}
