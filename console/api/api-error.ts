import type { ErrorBody } from './types.ts'

/** Why the node did not answer a call. */
export class ApiError extends Error {
  /** 0 when nothing was heard of the node at all. */
  readonly status: number
  /** The word of the API, such as `queue_full`. */
  readonly code: string
  /** After which trying again is of use. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, details: Partial<Pick<ApiError, 'status' | 'code' | 'retryAfterMs'>> = {}) {
    super(message)
    this.status = details.status ?? 0
    this.code = details.code ?? 'unreachable'
    this.retryAfterMs = details.retryAfterMs
  }
}

export const fromBody = (
  { message, code }: ErrorBody,
  details: Partial<Pick<ApiError, 'status' | 'retryAfterMs'>> = {},
): ApiError => new ApiError(message, { ...details, code })

export async function fromReply(reply: Response): Promise<ApiError> {
  const { status, headers } = reply
  const retryAfterMs = Number(headers.get('retry-after-ms') ?? 0) || undefined
  const body: unknown = await reply.json().catch(() => undefined)
  if (typeof body === 'object' && body !== null && 'error' in body)
    return fromBody(body.error as ErrorBody, { status, retryAfterMs })
  return new ApiError(`The node answered with status ${status}.`, { status, code: 'unknown', retryAfterMs })
}

/** Anything thrown, as what can be shown. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  // What `fetch` throws says nothing that a person could use.
  return new ApiError('The node does not answer.')
}

export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === 'AbortError'
