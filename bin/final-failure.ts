import { QMeshError } from '../runtime/error-report.ts'
import { withoutRetry } from '../runtime/retry-text.ts'

/** What a model failed with, said by a process that ends because of it: nothing is tried again. */
export function toFinalFailure(error: unknown): unknown {
  if (!(error instanceof QMeshError)) return error
  const message = withoutRetry(error.message)
  return message === error.message ? error : new QMeshError(error.code, message, { cause: error })
}
