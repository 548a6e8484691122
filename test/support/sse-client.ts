import { request } from 'node:http'

/** A stream of the gateway, as one caller saw it. */
export interface CallerStream {
  /** 0: it was left before a head came. */
  readonly status: number
  /** What the model said. */
  readonly text: string
  /** The comments between the events. */
  readonly comments: readonly string[]
  /** Whether the stream was said to be complete. */
  readonly isDone: boolean
  /** Milliseconds from the question to the first piece of text. */
  readonly firstTextMs: number | undefined
  /** Tokens of the answer; only for who asks for `stream_options.include_usage`. */
  readonly tokens: number | undefined
}

export interface CallerOptions {
  /** Leaves, by closing the connection, when it says so; asked after whatever came. */
  readonly isLeaving?: (soFar: CallerStream) => boolean
}

/**
 * Asks for a chat as a stream, over a connection of its own that is closed at the end: a client that keeps nothing open of
 * which a test would have to know.
 */
export function streamChat(
  url: string,
  body: object,
  { isLeaving }: CallerOptions = {},
): Promise<CallerStream> {
  const startedAt = performance.now()
  const seen = {
    status: 0,
    text: '',
    comments: [] as string[],
    isDone: false,
    firstTextMs: undefined as number | undefined,
    tokens: undefined as number | undefined,
  }
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const call = request(`${url}/v1/chat/completions`, { method: 'POST', agent: false, headers })
    let buffered = ''
    const take = (event: string): void => {
      if (event.startsWith(': ')) seen.comments.push(event.slice(2))
      if (event === 'data: [DONE]') seen.isDone = true
      if (!event.startsWith('data: {')) return
      const { choices, usage } = JSON.parse(event.slice(6)) as Chunk
      seen.tokens = usage?.completion_tokens ?? seen.tokens
      const piece = choices[0]?.delta?.content ?? ''
      if (piece !== '') seen.firstTextMs ??= performance.now() - startedAt
      seen.text += piece
    }
    call.on('response', (response) => {
      seen.status = response.statusCode ?? 0
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const events = (buffered + chunk).split('\n\n')
        buffered = events.pop() ?? ''
        for (const event of events) {
          take(event)
          if (isLeaving?.(seen) !== true) continue
          call.destroy()
          return resolve(seen)
        }
      })
      response.once('end', () => resolve(seen))
      response.once('error', reject)
    })
    call.once('error', reject)
    call.end(JSON.stringify({ ...body, stream: true }))
  })
}

interface Chunk {
  readonly choices: readonly { readonly delta?: { readonly content?: string | null } }[]
  readonly usage?: { readonly completion_tokens: number } | null
}
