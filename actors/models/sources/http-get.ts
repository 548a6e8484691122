import { QMeshError } from '../../../protocol/index.ts'
import { checkNotCancelled, SourceFailed } from './source.ts'

/** Redirects on the way to one file. */
const redirectsMax = 8

export interface GetOptions {
  readonly signal: AbortSignal
  readonly headers: Readonly<Record<string, string>>
  /** Sent to the first host only, never to where it redirects. */
  readonly authorization?: string | undefined
  /** Milliseconds that a server may keep silent, before its answer and within it. */
  readonly stallMs: number
}

/** An answer whose body is read bit by bit. */
export interface GetAnswer {
  readonly status: number
  readonly headers: Headers
  /** Null at the end. @throws SourceFailed when the server keeps silent or hangs up, QMeshError `QM_CANCELLED` */
  read(): Promise<Uint8Array | null>
  /** Hangs up; the rest is not read. */
  close(): void
}

/**
 * GET with redirects that are bounded, go in no circle, and never lead from an encrypted address to a plain one.
 *
 * @throws SourceFailed, QMeshError `QM_CANCELLED`
 */
export async function httpGet(address: string, options: GetOptions): Promise<GetAnswer> {
  const seen = new Set<string>()
  let url = new URL(address)
  const origin = url.origin
  for (;;) {
    if (seen.has(url.href)) {
      throw new SourceFailed(`${origin} redirects in a circle, to ${url.href}`, { isLasting: true })
    }
    if (seen.size > redirectsMax) {
      throw new SourceFailed(`${origin} redirects more than ${redirectsMax} times`, { isLasting: true })
    }
    seen.add(url.href)
    const answer = await getOnce(url, options, url.origin === origin)
    if (answer.status < 300 || answer.status >= 400 || answer.status === 304) return answer
    answer.close()
    url = toNextUrl(url, answer.headers.get('location'))
  }
}

function toNextUrl(from: URL, location: string | null): URL {
  const fail = (why: string): never => {
    throw new SourceFailed(`${from.origin} redirects ${why}`, { isLasting: true })
  }
  if (location === null) return fail('without saying where to')
  if (!URL.canParse(location, from.href)) return fail('to what is no address')
  const next = new URL(location, from)
  if (next.protocol !== 'https:' && next.protocol !== from.protocol) return fail(`to ${next.protocol}`)
  return next
}

async function getOnce(
  url: URL,
  { signal, headers, authorization, stallMs }: GetOptions,
  isFirstHost: boolean,
): Promise<GetAnswer> {
  checkNotCancelled(signal)
  const hangUp = new AbortController()
  let isStalled = false
  let timer: NodeJS.Timeout | undefined
  const watch = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      isStalled = true
      hangUp.abort()
    }, stallMs)
  }
  const onAbort = (): void => hangUp.abort()
  signal.addEventListener('abort', onAbort, { once: true })
  const release = (): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
  const toFailure = (error: unknown): Error => {
    release()
    if (signal.aborted) return new QMeshError('QM_CANCELLED')
    if (isStalled) return new SourceFailed(`${url.host} sent nothing for ${stallMs / 1_000} s`)
    const { message, cause } = error instanceof Error ? error : new Error(String(error))
    const reason = cause instanceof Error ? cause.message : message
    return new SourceFailed(`${url.host} cannot be read: ${reason}`, { cause: error })
  }
  watch()
  let response: Response
  try {
    response = await fetch(url, {
      redirect: 'manual',
      signal: hangUp.signal,
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'qmesh',
        ...headers,
        ...(authorization && isFirstHost && { authorization }),
      },
    })
  } catch (error) {
    throw toFailure(error)
  }
  clearTimeout(timer)
  const reader = response.body?.getReader()
  return {
    status: response.status,
    headers: response.headers,
    read: async () => {
      if (!reader) {
        release()
        return null
      }
      watch()
      try {
        const { done, value } = await reader.read()
        // Whoever reads may take its time; only the server is watched.
        clearTimeout(timer)
        if (!done) return value
        release()
        return null
      } catch (error) {
        throw toFailure(error)
      }
    },
    close: () => {
      release()
      hangUp.abort()
    },
  }
}
