import type { NodeStatus } from '../../api/types.ts'
import { many } from '../../ui/format.ts'
import { Pill } from '../../ui/pill.tsx'

/** How this node is doing, in four numbers. */
export function NodePanel({ node, open }: { readonly node: NodeStatus; readonly open: number }) {
  const { network, health, queue, models } = node
  const ready = models.filter(({ state }) => state === 'ready').length
  return (
    <dl class="tiles">
      <div>
        <dt>Network</dt>
        <dd>
          <Pill tone={network.state === 'online' ? 'good' : 'warn'}>{network.state}</Pill>
        </dd>
        <small>
          {many(network.peers, 'peer')}
          {network.isPrivate ? ', private mesh' : ''}
        </small>
      </div>
      <div>
        <dt>Your requests</dt>
        <dd>{open}</dd>
        <small>under way</small>
      </div>
      <div>
        <dt>Serving</dt>
        <dd>{models.length === 0 ? 'nothing' : `${queue.slotsBusy}/${queue.slots}`}</dd>
        <small>
          {models.length === 0
            ? 'this node only asks'
            : `slots busy, ${queue.length} waiting, ${ready} of ${many(models.length, 'model')} ready`}
        </small>
      </div>
      <div>
        <dt>Health</dt>
        <dd>{Math.round(health.score)}</dd>
        <small>{health.accepting ? health.state : `pausing: ${health.pausedBy?.join(', ') ?? ''}`}</small>
      </div>
    </dl>
  )
}
