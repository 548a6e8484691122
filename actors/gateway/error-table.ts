import { errorCatalogue, type ErrorCode } from '../../protocol/index.ts'

/** The kinds of failure that OpenAI's clients tell apart. */
export type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'server_error'
  | 'service_unavailable_error'

export interface ErrorRow {
  readonly status: number
  readonly type: ErrorType
  /** What programs match on: OpenAI's own word where there is one. */
  readonly code: string
}

const row = (status: number, type: ErrorType, code: string): ErrorRow => ({ status, type, code })

/**
 * What the mesh's errors are in HTTP, in one place. A code that is not here cannot be a request's own fault nor mended by
 * sending it again elsewhere: it is this node's, and 500.
 */
export const errorTable: Readonly<Partial<Record<ErrorCode, ErrorRow>>> = {
  // The request is wrong; sending it again changes nothing.
  QM_REQUEST_INVALID: row(400, 'invalid_request_error', 'invalid_value'),
  QM_CONTEXT_EXCEEDED: row(400, 'invalid_request_error', 'context_length_exceeded'),
  QM_JSON_SCHEMA_INVALID: row(400, 'invalid_request_error', 'invalid_json_schema'),
  QM_TOOLS_UNSUPPORTED: row(400, 'invalid_request_error', 'unsupported_parameter'),
  QM_CHAT_TEMPLATE_FAILED: row(400, 'invalid_request_error', 'invalid_messages'),
  QM_MODEL_UNKNOWN: row(404, 'invalid_request_error', 'model_not_found'),
  QM_MODEL_KIND: row(400, 'invalid_request_error', 'wrong_model_kind'),
  QM_REQUEST_UNKNOWN: row(404, 'not_found_error', 'request_not_found'),
  QM_ACCOUNT_UNKNOWN: row(404, 'not_found_error', 'account_not_found'),
  QM_ACCOUNT_BANNED: row(403, 'permission_error', 'account_banned'),
  QM_CANCELLED: row(499, 'invalid_request_error', 'cancelled'),
  QM_READER_TOO_SLOW: row(408, 'invalid_request_error', 'reader_too_slow'),
  // Too much at once; later it may work.
  QM_RATE_LIMITED: row(429, 'rate_limit_error', 'rate_limit_exceeded'),
  QM_TOO_MANY_REQUESTS: row(429, 'rate_limit_error', 'too_many_open_requests'),
  QM_QUEUE_FULL: row(503, 'service_unavailable_error', 'queue_full'),
  QM_OVERLOADED: row(503, 'service_unavailable_error', 'overloaded'),
  QM_EFFORT_REQUIRED: row(503, 'service_unavailable_error', 'effort_required'),
  QM_DRAINING: row(503, 'service_unavailable_error', 'draining'),
  QM_NO_WORKERS: row(503, 'service_unavailable_error', 'no_workers'),
  QM_ATTEMPTS_EXHAUSTED: row(503, 'service_unavailable_error', 'attempts_exhausted'),
  QM_NODE_STOPPED: row(503, 'service_unavailable_error', 'node_stopping'),
  QM_ACTOR_GAVE_UP: row(503, 'service_unavailable_error', 'node_degraded'),
  // A worker failed, and so did those after it.
  QM_DEADLINE_PASSED: row(504, 'server_error', 'deadline_passed'),
  QM_WORKER_LOST: row(502, 'server_error', 'worker_lost'),
  QM_WORKER_STALLED: row(504, 'server_error', 'worker_stalled'),
  QM_WORKER_MISBEHAVED: row(502, 'server_error', 'worker_misbehaved'),
  QM_INFERENCE_FAILED: row(502, 'server_error', 'inference_failed'),
  QM_ENGINE_CRASHED: row(502, 'server_error', 'engine_crashed'),
  QM_ENGINE_HUNG: row(502, 'server_error', 'engine_hung'),
  // A model could not be fetched.
  QM_MODEL_NOT_FOUND: row(404, 'not_found_error', 'model_not_found'),
  QM_MODEL_BUSY: row(503, 'service_unavailable_error', 'model_busy'),
  QM_MODEL_INVALID: row(502, 'server_error', 'model_invalid'),
  QM_SOURCE_FAILED: row(502, 'server_error', 'source_failed'),
  QM_DISK_FULL: row(500, 'server_error', 'disk_full'),
}

const ownFault = row(500, 'server_error', 'internal_error')

export const toErrorRow = (code: ErrorCode): ErrorRow => errorTable[code] ?? ownFault

/** Milliseconds after which a client may try again; undefined where that is of no use. */
export function toRetryMs(code: ErrorCode, retryAfterMs: number | undefined): number | undefined {
  if (retryAfterMs !== undefined) return Math.max(1, Math.ceil(retryAfterMs))
  const { status } = toErrorRow(code)
  if (status !== 429 && status !== 503) return undefined
  return errorCatalogue[code].retry === 'never' ? 5_000 : 1_000
}
