import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the server does to one request; a test sets it and changes it in the middle. */
export interface Behaviour {
  readonly data: Buffer
  /** Default true. */
  readonly knowsRanges?: boolean
  readonly etag?: string | undefined
  /** Says another size than the file has. */
  readonly claims?: number
  /** Hangs up after so many bytes of each answer. */
  readonly breaksAfter?: number
  /** Falls silent after so many bytes of each answer, and holds the line. */
  readonly stallsAfter?: number
  /** Never ends: repeats the file for ever, without a length. */
  readonly isEndless?: boolean
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Answers another range than the one that was asked for. */
  readonly shifts?: number
}

/** A web server on loopback that stands for every host of models, good and bad. */
export class ModelServer {
  readonly #server: Server
  behaviour: Behaviour | ((request: IncomingMessage, count: number) => Behaviour)
  /** Paths that redirect, by path. */
  readonly redirects = new Map<string, string>()
  /** Each request's path and range, in order. */
  readonly requests: {
    readonly path: string
    readonly range: string | undefined
    readonly headers: IncomingMessage['headers']
  }[] = []
  /** Bytes of bodies that were sent. */
  sentBytes = 0

  private constructor(behaviour: ModelServer['behaviour']) {
    this.behaviour = behaviour
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  static async start(behaviour: ModelServer['behaviour']): Promise<ModelServer> {
    const server = new ModelServer(behaviour)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  url(path = '/model.gguf'): string {
    return `${this.origin}${path}`
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '/'
    this.requests.push({ path, range: request.headers.range, headers: request.headers })
    const location = this.redirects.get(path)
    if (location !== undefined) {
      response.writeHead(302, { location }).end()
      return
    }
    const chosen =
      typeof this.behaviour === 'function' ? this.behaviour(request, this.requests.length) : this.behaviour
    this.#send(chosen, request, response)
  }

  #send(behaviour: Behaviour, request: IncomingMessage, response: ServerResponse): void {
    const { data, knowsRanges = true, etag, claims, status, headers, shifts = 0 } = behaviour
    if (status !== undefined) {
      response.writeHead(status, headers).end()
      return
    }
    const common = { ...(etag !== undefined && { etag }), ...headers }
    if (behaviour.isEndless) {
      response.writeHead(200, common)
      const push = (): void => {
        while (!response.destroyed && response.write(data)) this.sentBytes += data.length
        if (!response.destroyed) response.once('drain', push)
      }
      push()
      return
    }
    const total = claims ?? data.length
    const asked = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === etag
    if (!asked || !knowsRanges || !isSame) {
      response.writeHead(200, { 'content-length': String(total), ...common })
      this.#body(behaviour, data, response)
      return
    }
    const start = Number(asked[1]) + shifts
    const end = Math.min(Number(asked[2]) + shifts, data.length - 1)
    if (start >= data.length) {
      response.writeHead(416, { 'content-range': `bytes */${total}` }).end()
      return
    }
    const part = data.subarray(start, end + 1)
    response.writeHead(206, {
      'content-length': String(part.length),
      'content-range': `bytes ${start}-${end}/${total}`,
      ...common,
    })
    this.#body(behaviour, part, response)
  }

  #body({ breaksAfter, stallsAfter }: Behaviour, body: Buffer, response: ServerResponse): void {
    const limit = breaksAfter ?? stallsAfter
    if (limit === undefined || limit >= body.length) {
      this.sentBytes += body.length
      response.end(body)
      return
    }
    this.sentBytes += limit
    response.write(body.subarray(0, limit), () => {
      if (breaksAfter !== undefined) response.destroy()
    })
  }
}
