import { useSignal, type Signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { isAbort, toApiError, type ApiError } from '../api/api-error.ts'

export interface Loaded<Value> {
  /** Undefined before it is there. What was there stays while it is loaded again. */
  readonly value: Signal<Value | undefined>
  readonly error: Signal<ApiError | undefined>
}

/**
 * Loads something, and again whenever `keys` change; an answer that comes after that is not taken.
 *
 * @param everyMs also loads it so often while the page is looked at
 */
export function useLoaded<Value>(
  load: (signal: AbortSignal) => Promise<Value>,
  keys: readonly unknown[],
  everyMs?: number,
): Loaded<Value> {
  const value = useSignal<Value | undefined>(undefined)
  const error = useSignal<ApiError | undefined>(undefined)
  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const run = async (): Promise<void> => {
      try {
        if (!document.hidden || value.value === undefined) value.value = await load(abort.signal)
        error.value = undefined
      } catch (failure) {
        if (!isAbort(failure)) error.value = toApiError(failure)
      }
      if (everyMs !== undefined && !abort.signal.aborted) timer = setTimeout(() => void run(), everyMs)
    }
    void run()
    return () => {
      abort.abort()
      clearTimeout(timer)
    }
  }, keys)
  return { value, error }
}
