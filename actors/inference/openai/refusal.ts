import type { IncomingHttpHeaders } from 'node:http'
import { toErrorText } from './chunk.ts'
import { EngineFault } from './engine-fault.ts'
import { readWhole, type Exchange } from './exchange.ts'

/** Milliseconds to read why. */
const reasonMs = 2_000
const retryAfterMsMax = 3_600_000

const isAboutContext =
  /context (?:length|size|window)|maximum context|exceed\w* (?:the )?(?:available )?context/i

/** What an answer means that is none, for the client and for the owner. Reads the body. */
export async function toRefusal(exchange: Exchange): Promise<EngineFault> {
  const { status, headers } = exchange
  const { text, code } = toErrorText(await readWhole(exchange, reasonMs).catch(() => ''))
  exchange.close()
  const said = text === '' ? '' : `: ${text}`
  const detail = (advice: string): string => `it answered ${status}${advice}${said}`
  if (status >= 300 && status < 400) {
    return new EngineFault(
      'QM_INFERENCE_FAILED',
      'the engine of this worker sends requests elsewhere',
      detail(' and sends us elsewhere, where we do not go: give the address where it answers as "engineUrl"'),
    )
  }
  switch (status) {
    case 401:
    case 403:
      return new EngineFault(
        'QM_INFERENCE_FAILED',
        'the engine of this worker refuses to answer it',
        detail(': it wants another key, check "engineKey"'),
      )
    case 404:
      return new EngineFault(
        'QM_INFERENCE_FAILED',
        'the engine of this worker has no such model or no such API',
        detail(': check "engineUrl", which mostly ends with /v1, and "engineModel"'),
        { status },
      )
    case 429:
    case 503:
      return new EngineFault('QM_OVERLOADED', 'the engine of this worker is busy', detail(', it is busy'), {
        retryAfterMs: toRetryAfterMs(headers),
      })
    default:
  }
  const isContext = code === 'context_length_exceeded' || isAboutContext.test(text)
  if (isContext && status >= 400 && status < 500) {
    return new EngineFault(
      'QM_CONTEXT_EXCEEDED',
      'the engine of this worker says that the prompt and the tokens asked for do not fit its context',
      detail(': "engineContext" may promise more than there is'),
    )
  }
  return new EngineFault(
    'QM_INFERENCE_FAILED',
    `the engine of this worker answered with ${status}`,
    detail(''),
    { status },
  )
}

function toRetryAfterMs({ 'retry-after': seconds }: IncomingHttpHeaders): number {
  const ms = Number(seconds) * 1_000
  return Number.isFinite(ms) && ms > 0 ? Math.min(retryAfterMsMax, Math.ceil(ms)) : 2_000
}
