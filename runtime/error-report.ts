import { AnswerError } from '../actors/request/answer.ts'
import { QMeshError, toQMeshError, type ErrorCode, type RequestId } from '../protocol/index.ts'
import { toExitCode } from './exit-codes.ts'
import { plainText } from './plain-text.ts'

export { QMeshError }

/** What a person does next; only where the message itself cannot say it. */
const hints: Partial<Record<ErrorCode, string>> = {
  QM_NO_WORKERS:
    'start a worker with "qmesh-node up --model FILE", or name a mesh with --bootstrap and --secret',
  QM_ATTEMPTS_EXHAUSTED: 'try again in a moment; "qmesh-node workers" shows who is there',
  QM_REQUEST_UNKNOWN: '"qmesh-node why --list" shows which requests are remembered',
  QM_QUEUE_FULL: 'try again in a moment',
  QM_MODEL_UNKNOWN: '"qmesh-node workers" shows which models there are',
  QM_MODEL_KIND: '"qmesh-node workers" shows which models make embeddings, by the numbers of a vector',
  QM_CONTEXT_EXCEEDED: 'shorten the prompt, lower --max-tokens, or use a worker with a larger context',
  QM_MODEL_TOO_LARGE: 'use a smaller or more quantized model, or lower --context-tokens or --slots',
  QM_MODEL_FILE_INVALID: 'download the file again; its size must be that of the original',
  QM_PORT_TAKEN: 'choose another one with --port (the gateway: --gateway-port), or 0 for any that is free',
  QM_SECRET_MISMATCH: 'use the same --secret on every node of the mesh',
  QM_CONFIG_SYNTAX: 'see docs/CONFIG.md, or "qmesh-node config --help"',
  QM_CONFIG_INVALID: 'see docs/CONFIG.md, or "qmesh-node config --help"',
  QM_USAGE: 'see "qmesh-node --help"',
  QM_INTERNAL: 'run again with QMESH_DEBUG=1 to see where it happened, and please report it',
}

/** An error for which its place knows better what to do next than its code does. */
export class HintedError extends QMeshError {
  readonly hint: string

  /** @param error goes on with its code, its message and, as the cause, itself */
  constructor(error: QMeshError, hint: string) {
    super(error.code, error.message, {
      cause: error,
      ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    })
    this.hint = hint
  }
}

export interface ErrorReport {
  readonly code: ErrorCode
  /** One line, fit for a terminal. */
  readonly message: string
  readonly hint: string | undefined
  readonly exitCode: number
  /** The request that failed, for `why`. */
  readonly requestId: RequestId | undefined
  /** Stack traces of the error and its causes, for developers only. */
  readonly stack: string
}

/** What a user is told about anything that was thrown. */
export function toErrorReport(error: unknown): ErrorReport {
  const failure = toQMeshError(error)
  return {
    code: failure.code,
    message: plainText(failure.message)
      .replaceAll(/\s*\n\s*/g, ' ')
      .trim(),
    hint: failure instanceof HintedError ? failure.hint : hints[failure.code],
    exitCode: toExitCode(failure.code),
    requestId: toRequestId(failure),
    stack: stacks(failure),
  }
}

const toRequestId = (error: unknown): RequestId | undefined => {
  if (error instanceof HintedError) return toRequestId(error.cause)
  return error instanceof AnswerError ? error.requestId : undefined
}

function stacks(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.stack ?? error.message
  return error.cause === undefined ? own : `${own}\ncaused by: ${stacks(error.cause)}`
}
