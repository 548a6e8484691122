import { QMeshError, type ErrorCode } from '../../../protocol/index.ts'
import { engineBounds } from './settings.ts'

/**
 * What went wrong between this worker and its engine. The error is for the client, which knows of no engine: it names no
 * address and repeats nothing that the engine said. The detail is for the owner.
 */
export class EngineFault extends QMeshError {
  readonly detail: string
  /** `loss`: the connection failed, and the engine may be gone; `silence`: it said nothing for too long. */
  readonly kind: 'loss' | 'silence' | 'other'
  /** Of the engine's answer, where it refused. */
  readonly status: number | undefined

  constructor(
    code: ErrorCode,
    message: string,
    detail: string,
    options: {
      readonly retryAfterMs?: number
      readonly kind?: EngineFault['kind']
      readonly status?: number
      readonly cause?: unknown
    } = {},
  ) {
    const { retryAfterMs, kind = 'other', status, cause } = options
    super(code, message, {
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(cause !== undefined && { cause }),
    })
    this.detail = detail
    this.kind = kind
    this.status = status
  }
}

/** The engine said something that no such API says. */
export const brokenAnswer = (detail: string): EngineFault =>
  new EngineFault(
    'QM_INFERENCE_FAILED',
    'the engine of this worker gave an answer that makes no sense',
    detail,
  )

/** Nobody is there, or nobody any more. */
export const lostConnection = (detail: string, cause?: unknown): EngineFault =>
  new EngineFault(
    'QM_INFERENCE_FAILED',
    'the engine of this worker hung up before the answer was complete',
    detail,
    { kind: 'loss', cause },
  )

/** What Node's network says went wrong. */
export function toLoss(cause: unknown): EngineFault {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  const reason = code ?? (cause instanceof Error ? cause.message : String(cause))
  return lostConnection(`the connection failed (${toQuote(reason)})`, cause)
}

export const tooSilent = (ms: number): EngineFault =>
  new EngineFault(
    'QM_INFERENCE_FAILED',
    'the engine of this worker made no progress',
    `no word for ${Math.round(ms / 1_000)} s`,
    { kind: 'silence' },
  )

/** One line, without anything that a terminal would obey. */
export const toQuote = (text: string): string =>
  text
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, engineBounds.quoteChars)
