import type { InspectionFrame, MachineGraph } from '../../../protocol/inspection.ts'
import { ApiError, isAbort, toApiError } from '../../api/api-error.ts'
import { call, getJson } from '../../api/call.ts'
import { readEventStream } from '../../api/event-stream.ts'
import type { Store } from './store.ts'

/** Milliseconds between two tries to come back, the first and the longest. */
const waitMs = { least: 500, most: 8_000 }

/** Keeps the store fed until the signal says otherwise; a connection that is lost is made anew. */
export async function feed(store: Store, signal: AbortSignal): Promise<void> {
  let wait = waitMs.least
  while (!signal.aborted) {
    let waitAsked: number | undefined
    try {
      const reply = await call('/machines/events', { signal })
      if (!reply.body) throw new ApiError('The node sent no events.')
      for await (const { name, data } of readEventStream(reply.body)) {
        if (name !== 'message') continue
        store.take(JSON.parse(data) as InspectionFrame)
        store.failure.value = ''
        wait = waitMs.least
      }
    } catch (error) {
      if (signal.aborted || isAbort(error)) return
      const { message, retryAfterMs, status } = toApiError(error)
      // One that said goodbye has stopped: that it does not answer any more says less.
      if (store.link.value !== 'ended') store.failure.value = message
      waitAsked = retryAfterMs
      // There is nothing to come back to.
      if (status === 404) {
        store.failure.value = message
        store.link.value = 'ended'
        return
      }
    }
    if (store.link.value === 'live') store.link.value = 'lost'
    await pause(waitAsked ?? wait, signal)
    wait = Math.min(wait * 2, waitMs.most)
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })

/** A statechart never changes, so it is asked for once. */
const graphs = new Map<string, Promise<MachineGraph>>()

export function loadGraph(id: string): Promise<MachineGraph> {
  const known = graphs.get(id)
  if (known) return known
  const loading = getJson<MachineGraph>(`/machines/graphs/${encodeURIComponent(id)}`)
  graphs.set(id, loading)
  // What failed may work the next time.
  loading.catch(() => graphs.delete(id))
  return loading
}
