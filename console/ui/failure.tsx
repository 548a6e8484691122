import type { ComponentChildren } from 'preact'
import type { ApiError } from '../api/api-error.ts'
import { adviceFor } from './advice.ts'

/** What went wrong, and what to do about it. */
export function Failure({
  error,
  children,
}: {
  readonly error: ApiError
  readonly children?: ComponentChildren
}) {
  const advice = adviceFor(error)
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{error.message}</strong>
      </p>
      {advice !== undefined && <p>{advice}</p>}
      {children}
    </div>
  )
}
