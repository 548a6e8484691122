import type { NodeStatus } from '../runtime/index.ts'

type PauseReason = NonNullable<NodeStatus['health']['pausedBy']>[number]

const texts: Readonly<Record<PauseReason, string>> = {
  shutdown: 'the node is stopping',
  owner: 'drained; "qmesh-node resume" serves again',
  'quiet-hours': 'quiet hours',
  battery: 'low battery',
  load: 'other programs need the machine',
}

/** Why a node takes nothing of others, for people; `undefined` while it serves. */
export const pauseText = ({ health }: Pick<NodeStatus, 'health'>): string | undefined =>
  health.pausedBy?.map((reason) => texts[reason]).join('; ')
