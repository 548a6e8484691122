import { request as requestPlain, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as requestEncrypted } from 'node:https'
import { brokenAnswer, toLoss, tooSilent } from './engine-fault.ts'
import { engineBounds } from './settings.ts'

export interface ExchangeOptions {
  readonly key?: string | undefined
  /** Sent as JSON by POST; absent: GET. */
  readonly body?: object | undefined
  /** Type of the answer; absent: a stream of events to a POST, JSON to a GET. */
  readonly accept?: string | undefined
  readonly signal: AbortSignal
  /** Milliseconds until the headers of the answer. */
  readonly answerMs: number
}

/** One request to the engine, and its answer read bit by bit. Whoever does not read makes the engine wait. */
export interface Exchange {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Null at the end. @throws EngineFault when the engine hangs up or keeps silent for so many milliseconds */
  read(withinMs: number): Promise<Buffer | null>
  /** Hangs up, which is how an engine learns that nobody wants the rest. */
  close(): void
}

/**
 * Redirects are not followed: the key and the prompts are for this address. A proxy of the environment is not used.
 *
 * @throws EngineFault
 */
export async function openExchange(address: URL, options: ExchangeOptions): Promise<Exchange> {
  const { key, body, accept, signal, answerMs } = options
  const bytes = body && Buffer.from(JSON.stringify(body))
  const sent = (address.protocol === 'https:' ? requestEncrypted : requestPlain)(address, {
    method: bytes ? 'POST' : 'GET',
    // A connection for each: one that lay idle may be dead, and a request must not fail for it.
    agent: false,
    signal,
    headers: {
      accept: accept ?? (bytes ? 'text/event-stream' : 'application/json'),
      'accept-encoding': 'identity',
      'user-agent': 'qmesh',
      ...(bytes && { 'content-type': 'application/json', 'content-length': bytes.length }),
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve)
    // A second error, of the body, is told by the reading.
    sent.on('error', (error) => reject(toLoss(error)))
  })
  sent.end(bytes)
  const response = await within(answerMs, answered, () => sent.destroy())
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    read: async (withinMs) => {
      const next = chunks.next().catch((error: unknown) => Promise.reject(toLoss(error)))
      const { done, value } = await within(withinMs, next, () => sent.destroy())
      return done ? null : value
    },
    close: () => void sent.destroy(),
  }
}

/** All of an answer that is to be short. @throws EngineFault */
export async function readWhole(
  exchange: Exchange,
  withinMs: number,
  bytesMax: number = engineBounds.wholeBytesMax,
): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  const untilMs = performance.now() + withinMs
  for (;;) {
    const chunk = await exchange.read(Math.max(0, untilMs - performance.now()))
    if (chunk === null) return Buffer.concat(chunks).toString('utf8')
    bytes += chunk.length
    if (bytes > bytesMax) {
      exchange.close()
      throw brokenAnswer(`an answer of more than ${bytesMax} bytes`)
    }
    chunks.push(chunk)
  }
}

async function within<Value>(ms: number, work: Promise<Value>, giveUp: () => void): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(tooSilent(ms))
      giveUp()
    }, ms)
  })
  // What is given up fails a moment later, and nobody waits for it.
  work.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
