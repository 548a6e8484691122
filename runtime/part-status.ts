import type { SnapshotFrom } from 'xstate'
import type { nodeMachine } from '../machines/node/node.machine.ts'
import { recentRestarts } from '../machines/node/restart-policy.ts'
import type { PartStatus } from './node-status.ts'

const states = {
  running: 'running',
  deciding: 'restarting',
  backingOff: 'restarting',
  gaveUp: 'failed',
  ended: 'ended',
  stopping: 'stopping',
  stopped: 'stopped',
} as const

/** How each part of a node stands, in the order in which they start. */
export function toPartStatuses(node: SnapshotFrom<typeof nodeMachine>, nowMs: number): PartStatus[] {
  return node.context.children.map(({ name, ref }) => {
    const { value, context } = ref.getSnapshot()
    const restarts = recentRestarts(context.restartedAtMs, nowMs, context.input.policy).length
    const state = states[value]
    const error = state === 'restarting' || state === 'failed' ? context.lastError : undefined
    return {
      name,
      state,
      ...(restarts > 0 && { restarts }),
      ...(error && { error: { code: error.code, message: error.message } }),
    }
  })
}
