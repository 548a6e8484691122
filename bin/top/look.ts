import { setTimeout as sleep } from 'node:timers/promises'
import type { ControlClient } from '../../runtime/control/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import type { NodeStatus, RequestSummary, WorkerSummary } from '../../runtime/index.ts'

/** A node at one moment. */
export interface Look {
  /** Milliseconds of a clock that does not jump, and the time for people. */
  readonly atMs: number
  readonly at: string
  readonly status: NodeStatus
  readonly workers: readonly WorkerSummary[]
  /** The latest first. */
  readonly requests: readonly RequestSummary[]
  /** Tokens a second since the look before; absent in the first one. */
  readonly rates?: {
    readonly receivedTokens: number
    readonly servedTokens: number
    /** Of each open request, by its id. */
    readonly requests: ReadonlyMap<string, number>
  }
}

/** Looks at a node again and again, until it stops or somebody has seen enough. */
export async function* watchNode(
  node: ControlClient,
  everyMs: number,
  signal: AbortSignal,
): AsyncGenerator<Look, never, undefined> {
  let before: Look | undefined
  for (;;) {
    const beganMs = performance.now()
    const look = await takeLook(node, before, signal)
    yield look
    before = look
    await sleep(Math.max(0, beganMs + everyMs - performance.now()), undefined, { signal })
  }
}

/** @throws QMeshError `QM_NODE_STOPPED`, `QM_CANCELLED` */
async function takeLook(node: ControlClient, before: Look | undefined, signal: AbortSignal): Promise<Look> {
  try {
    const [status, workers, requests] = await Promise.all([
      node.call('status', {}, signal),
      node.call('workers', {}, signal),
      node.call('requests', {}, signal),
    ])
    const look = { atMs: performance.now(), at: new Date().toISOString(), status, workers, requests }
    // Another process on the same data directory has counted from the start.
    return before?.status.pid === status.pid ? { ...look, rates: toRates(before, look) } : look
  } catch (error) {
    const isGone = error instanceof QMeshError && error.code === 'QM_NODE_NOT_RUNNING'
    throw isGone ? new QMeshError('QM_NODE_STOPPED', 'the node has stopped', { cause: error }) : error
  }
}

function toRates(before: Look, now: Omit<Look, 'rates'>): NonNullable<Look['rates']> {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000)
  const rate = (from = 0, to = 0): number => Math.max(0, to - from) / seconds
  const [old, totals] = [before.status.totals, now.status.totals]
  const tokens = new Map(before.requests.map((request) => [request.requestId, request.tokens]))
  return {
    receivedTokens: rate(old?.receivedTokens, totals?.receivedTokens),
    servedTokens: rate(old?.servedTokens, totals?.servedTokens),
    requests: new Map(
      now.requests
        .filter(({ state }) => state === 'open')
        .map((request) => [request.requestId, rate(tokens.get(request.requestId), request.tokens)]),
    ),
  }
}
