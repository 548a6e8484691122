import type { ErrorBody } from './types.ts'

/** Why the node did not answer a call. */
export class ApiError extends Error {
  /** 0 when nothing was heard of the node at all. */
  readonly status: number
  /** The word of the API, such as `queue_full`. */
  readonly code: string
  /** After which trying again is of use. */
  readonly retryAfterMs: number | undefined
  /** The request that failed, where the call had become one: its trace says why. */
  readonly requestId: string | undefined

  constructor(
    message: string,
    details: Partial<Pick<ApiError, 'status' | 'code' | 'retryAfterMs' | 'requestId'>> = {},
  ) {
    super(message)
    this.status = details.status ?? 0
    this.code = details.code ?? 'unreachable'
    this.retryAfterMs = details.retryAfterMs
    this.requestId = details.requestId
  }
}

export const fromBody = (
  { message, code }: ErrorBody,
  details: Partial<Pick<ApiError, 'status' | 'retryAfterMs' | 'requestId'>> = {},
): ApiError => new ApiError(message, { ...details, code })

export async function fromReply(reply: Response): Promise<ApiError> {
  const { status, headers } = reply
  const retryAfterMs = Number(headers.get('retry-after-ms') ?? 0) || undefined
  const requestId = headers.get('x-qmesh-request-id') ?? undefined
  const body: unknown = await reply.json().catch(() => undefined)
  if (typeof body === 'object' && body !== null && 'error' in body)
    return fromBody(body.error as ErrorBody, { status, retryAfterMs, requestId })
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
