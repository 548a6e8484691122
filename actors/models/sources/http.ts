import { type GetAnswer, httpGet } from './http-get.ts'
import { checkNotCancelled, type FetchContext, type FileSource, type Probe, SourceFailed } from './source.ts'

/** Bytes that are collected before they are written: with less, keeping the record costs more than the bytes. */
const writeBytes = 128 * 1024

export const httpStallMs = 20_000

export interface HttpOptions {
  readonly name?: string | undefined
  readonly authorization?: string | undefined
  readonly stallMs?: number | undefined
  /** Reads a hash of the file from an answer, where a host gives one. */
  readonly readSha256?: ((headers: Headers) => string | undefined) | undefined
}

/** A file on any web server. Servers that know ranges resume; of those that do not, what is there already is skipped. */
export class HttpSource implements FileSource {
  readonly name: string
  readonly isProving = false
  readonly #url: string
  readonly #options: HttpOptions
  readonly #stallMs: number
  /** It changed once while it was fetched; twice is too often. */
  #hasChanged = false

  constructor(url: string, options: HttpOptions = {}) {
    this.#url = url
    this.#options = options
    this.#stallMs = options.stallMs ?? httpStallMs
    this.name = options.name ?? url
  }

  async probe(signal: AbortSignal): Promise<Probe> {
    const answer = await this.#get(signal, { range: 'bytes=0-0' })
    answer.close()
    this.#check(answer)
    return { bytes: toTotal(answer), sha256: this.#options.readSha256?.(answer.headers) }
  }

  async fetch(context: FetchContext): Promise<void> {
    const { target, signal } = context
    let { memo } = context
    for (;;) {
      checkNotCancelled(signal)
      const [gap] = target.missing()
      if (!gap) return
      // A strong validator only: what a weak one stands for may differ in its bytes.
      const isStrong = memo !== undefined && memo.startsWith('"')
      const answer = await this.#get(signal, {
        range: `bytes=${gap.start}-${gap.end - 1}`,
        ...(isStrong && memo !== undefined && { 'if-range': memo }),
      })
      try {
        this.#check(answer)
        const total = toTotal(answer)
        const validator = toValidator(answer.headers)
        const isOther = memo !== undefined && validator !== undefined && validator !== memo
        if (isOther) await this.#onChanged(context)
        if (total !== null && total !== target.bytes) {
          throw new SourceFailed(
            `${this.name} has ${total} bytes, and the file should have ${target.bytes}`,
            {
              isLasting: true,
            },
          )
        }
        const start = answer.status === 206 ? toStart(answer) : 0
        if (start > gap.start || (answer.status === 206 && start !== gap.start)) {
          throw new SourceFailed(`${this.name} sent other bytes than were asked for`, { isLasting: true })
        }
        if (validator !== undefined && validator !== memo) await context.remember(validator)
        memo = validator ?? memo
        // One that ignores ranges sends everything: all gaps are filled from one answer.
        await this.#take(answer, start, answer.status === 206 ? gap.end : target.bytes, context)
      } finally {
        answer.close()
      }
    }
  }

  #get(signal: AbortSignal, headers: Record<string, string>): Promise<GetAnswer> {
    const { authorization } = this.#options
    return httpGet(this.#url, { signal, headers, authorization, stallMs: this.#stallMs })
  }

  #check({ status, headers }: GetAnswer): void {
    if (status === 200 || status === 206) return
    const isTransient = status === 408 || status === 425 || status === 429 || status >= 500
    const seconds = Number(headers.get('retry-after'))
    throw new SourceFailed(`${this.name} answered with status ${status}`, {
      isLasting: !isTransient,
      ...(seconds > 0 && { retryAfterMs: Math.min(seconds, 120) * 1_000 }),
    })
  }

  async #onChanged({ restart }: FetchContext): Promise<never> {
    await restart()
    const isLasting = this.#hasChanged
    this.#hasChanged = true
    throw new SourceFailed(`the file at ${this.name} changed while it was fetched`, { isLasting })
  }

  /** Writes what is missing of the bytes from `start` to `end`. */
  async #take(answer: GetAnswer, start: number, end: number, context: FetchContext): Promise<void> {
    const { target, pace, onBytes } = context
    let at = start
    let kept: Uint8Array[] = []
    let keptBytes = 0
    const write = async (): Promise<void> => {
      const data = kept.length === 1 && kept[0] ? kept[0] : Buffer.concat(kept)
      const from = at - keptBytes
      kept = []
      keptBytes = 0
      if (data.byteLength === 0 || target.has(from, from + data.byteLength)) return
      await writeMissing(target, from, data)
    }
    try {
      while (at < end) {
        const chunk = await answer.read()
        if (chunk === null) {
          throw new SourceFailed(`${this.name} hung up ${end - at} bytes before the end`)
        }
        // More than was asked for: the rest is nobody's.
        const data = chunk.byteLength > end - at ? chunk.subarray(0, end - at) : chunk
        await pace(data.byteLength)
        kept.push(data)
        keptBytes += data.byteLength
        at += data.byteLength
        onBytes(data.byteLength)
        if (keptBytes >= writeBytes) {
          await write()
          if (answer.status === 200 && target.missing().length === 0) return
        }
      }
    } finally {
      await write()
    }
  }
}

/** Writes only what is not there: another source may have proven those bytes. */
export async function writeMissing(
  target: FetchContext['target'],
  start: number,
  data: Uint8Array,
): Promise<void> {
  const end = start + data.byteLength
  for (const gap of target.missing()) {
    if (gap.end <= start) continue
    if (gap.start >= end) return
    const [from, to] = [Math.max(start, gap.start), Math.min(end, gap.end)]
    await target.write(from, data.subarray(from - start, to - start))
  }
}

/** Bytes of the whole file; null when the server does not say. */
function toTotal({ status, headers }: GetAnswer): number | null {
  const text =
    status === 206
      ? /^bytes \d+-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1]
      : (headers.get('content-length') ?? undefined)
  const total = text === undefined ? NaN : Number(text)
  return Number.isSafeInteger(total) ? total : null
}

const toStart = ({ headers }: GetAnswer): number =>
  Number(/^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1] ?? NaN)

/** What tells one version of the file from another. */
const toValidator = (headers: Headers): string | undefined =>
  headers.get('etag') ?? headers.get('last-modified') ?? undefined
