import { signal } from '@preact/signals'
import { ApiError, fromBody, isAbort, toApiError } from '../../api/api-error.ts'
import { call } from '../../api/call.ts'
import { readEventStream } from '../../api/event-stream.ts'
import type { ErrorBody, PulledModel, PullProgress } from '../../api/types.ts'

/** A model on its way here, at this page's wish. It goes on while other views are open. */
export interface Pull {
  readonly name: string
  readonly state: 'coming' | 'done' | 'failed' | 'stopped'
  readonly progress?: PullProgress | undefined
  /** Of one that is here: the node answers with it from now on. */
  readonly isServed?: boolean | undefined
  /** Sources that were given up, and why. */
  readonly failures: readonly { readonly source: string; readonly message: string }[]
  readonly error?: ApiError | undefined
}

export const pulls = signal<ReadonlyMap<string, Pull>>(new Map())
/** Grows when a model came: whoever lists models lists them again. */
export const arrivals = signal(0)

const running = new Map<string, AbortController>()

const change = (name: string, next: Partial<Pull>): void => {
  const before = pulls.value.get(name) ?? { name, state: 'coming' as const, failures: [] }
  pulls.value = new Map(pulls.value).set(name, { ...before, ...next })
}

export function stopPull(name: string): void {
  running.get(name)?.abort()
}

export function forgetPull(name: string): void {
  const next = new Map(pulls.value)
  next.delete(name)
  pulls.value = next
}

export async function pull(name: string): Promise<void> {
  if (running.has(name)) return
  const abort = new AbortController()
  running.set(name, abort)
  forgetPull(name)
  change(name, {})
  try {
    const { body } = await call('/v1/mesh/models/pull', {
      method: 'POST',
      body: { name },
      signal: abort.signal,
    })
    if (!body) return
    for await (const { name: event, data } of readEventStream(body)) {
      if (event === 'progress') change(name, { progress: JSON.parse(data) as PullProgress })
      else if (event === 'source-failed') {
        const failure = JSON.parse(data) as Pull['failures'][number]
        change(name, { failures: [...(pulls.value.get(name)?.failures ?? []), failure] })
      } else if (event === 'error') throw fromBody((JSON.parse(data) as { error: ErrorBody }).error)
      else if (event === 'done') {
        const { isServed } = JSON.parse(data) as PulledModel
        change(name, { state: 'done', isServed })
      }
    }
    // A proxy may end a stream in peace: without the last word nobody knows.
    if (pulls.value.get(name)?.state === 'coming')
      throw new ApiError('The connection ended before the model was here.')
    arrivals.value++
  } catch (error) {
    if (isAbort(error)) change(name, { state: 'stopped' })
    else change(name, { state: 'failed', error: toApiError(error) })
  } finally {
    running.delete(name)
  }
}
