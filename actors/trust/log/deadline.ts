export interface Deadline {
  /** Aborted by the given signal, or by time: then its reason is named `TimeoutError`. */
  readonly signal: AbortSignal
  /** Lets go of the given signal, which may live much longer. */
  readonly release: () => void
}

/** `AbortSignal.any` would do, but in Node.js 20 a signal that lives long keeps all that were made from it. */
export function startDeadline(timeoutMs: number, given?: AbortSignal): Deadline {
  const controller = new AbortController()
  const timeout = AbortSignal.timeout(timeoutMs)
  const onTimeout = (): void => controller.abort(timeout.reason)
  const onAbort = (): void => controller.abort(given?.reason)
  timeout.addEventListener('abort', onTimeout)
  given?.addEventListener('abort', onAbort)
  if (given?.aborted) onAbort()
  return {
    signal: controller.signal,
    release: () => {
      timeout.removeEventListener('abort', onTimeout)
      given?.removeEventListener('abort', onAbort)
    },
  }
}

export const isTimeout = ({ reason }: AbortSignal): boolean =>
  reason instanceof Error && reason.name === 'TimeoutError'
