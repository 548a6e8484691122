import { QMeshError, toQMeshError, type ErrorCode } from '../../protocol/index.ts'
import { toErrorRow, toRetryMs, type ErrorRow, type ErrorType } from './error-table.ts'

/** A failure as it goes out, whatever the shape of the API that asked. */
export interface ApiFailure extends ErrorRow {
  readonly message: string
  /** The part of the request that is wrong; null when it is not one part. */
  readonly param: string | null
  /** The mesh's own code. */
  readonly qmeshCode: ErrorCode
  readonly retryAfterMs: number | undefined
}

interface Details {
  readonly status?: number
  readonly type?: ErrorType
  readonly code?: string
  readonly param?: string | undefined
  readonly retryAfterMs?: number
}

/** A request that the gateway itself turns down, with the words of the API that it speaks. */
export class ApiError extends QMeshError {
  readonly details: Details

  constructor(message: string, details: Details = {}, qmeshCode: ErrorCode = 'QM_REQUEST_INVALID') {
    super(
      qmeshCode,
      message,
      details.retryAfterMs === undefined ? {} : { retryAfterMs: details.retryAfterMs },
    )
    this.details = details
  }
}

/** Anything thrown, as it goes out. A defect does not show its inside. */
export function toApiFailure(error: unknown): ApiFailure {
  const failure = toQMeshError(error)
  const { code, retryAfterMs } = failure
  const { param, status, type, code: word }: Details = failure instanceof ApiError ? failure.details : {}
  const row = toErrorRow(code)
  const isDefect = code === 'QM_INTERNAL'
  return {
    status: status ?? row.status,
    type: type ?? row.type,
    code: word ?? row.code,
    param: param ?? null,
    message: isDefect ? 'The node failed to handle this request; its log says why.' : failure.message,
    qmeshCode: code,
    retryAfterMs: toRetryMs(code, retryAfterMs),
  }
}
