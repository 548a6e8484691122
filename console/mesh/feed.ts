import { signal, type Signal } from '@preact/signals'
import { call } from '../api/call.ts'
import { readEventStream } from '../api/event-stream.ts'
import type { NodeStatus, RequestSummary, Worker } from '../api/types.ts'

/** Milliseconds between two tries to reach the node, at first and at most. */
const [retryMsMin, retryMsMax] = [500, 8_000]

/** Whether what is shown is what is. */
export const link = signal<'connecting' | 'live' | 'lost'>('connecting')
export const node = signal<NodeStatus | undefined>(undefined)
export const workers = signal<ReadonlyMap<string, Worker>>(new Map())
export const requests = signal<ReadonlyMap<string, RequestSummary>>(new Map())

interface News<Item> {
  readonly changed: readonly Item[]
  readonly gone: readonly string[]
}

/** Follows the node for as long as the page is looked at; one that is hidden leaves its connection to others. */
export async function followMesh(): Promise<never> {
  let retryMs = retryMsMin
  for (;;) {
    await untilVisible()
    const abort = new AbortController()
    const leave = (): void => {
      if (document.hidden) abort.abort()
    }
    document.addEventListener('visibilitychange', leave)
    try {
      await follow(abort.signal, () => (retryMs = retryMsMin))
    } catch {
      // Told by `link`, and tried again.
    } finally {
      document.removeEventListener('visibilitychange', leave)
    }
    if (abort.signal.aborted) continue
    link.value = 'lost'
    await new Promise((resolve) => setTimeout(resolve, retryMs))
    retryMs = Math.min(retryMsMax, 2 * retryMs)
  }
}

async function follow(signal: AbortSignal, onLive: () => void): Promise<void> {
  const { body } = await call('/v1/mesh/events', { signal })
  if (!body) return
  // What is known of an earlier connection may be gone by now.
  const seen = new Set<string>()
  for await (const { name, data } of readEventStream(body)) {
    if (name === 'comment') continue
    const isFirst = !seen.has(name)
    seen.add(name)
    if (name === 'status') node.value = (JSON.parse(data) as News<NodeStatus>).changed[0] ?? node.value
    else if (name === 'workers')
      apply(workers, JSON.parse(data) as News<Worker>, ({ workerId }) => workerId, isFirst)
    else if (name === 'requests')
      apply(requests, JSON.parse(data) as News<RequestSummary>, ({ requestId }) => requestId, isFirst)
    link.value = 'live'
    onLive()
  }
}

function apply<Item>(
  target: Signal<ReadonlyMap<string, Item>>,
  { changed, gone }: News<Item>,
  idOf: (item: Item) => string,
  isFirst: boolean,
): void {
  const next = new Map(isFirst ? [] : target.value)
  for (const item of changed) next.set(idOf(item), item)
  for (const id of gone) next.delete(id)
  target.value = next
}

function untilVisible(): Promise<void> {
  if (!document.hidden) return Promise.resolve()
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', () => resolve(), { once: true })
  })
}
