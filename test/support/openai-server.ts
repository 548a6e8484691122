import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'

const bodySchema = z.looseObject({
  model: z.string().optional(),
  prompt: z.string().optional(),
  messages: z.array(z.object({ role: z.string(), content: z.string() })).optional(),
  max_tokens: z.number().optional(),
})

export interface EngineRequest {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: z.output<typeof bodySchema>
  /** Resolves when whoever asked has hung up. */
  readonly gone: Promise<void>
}

/** What an answer is made of; the stream has been opened. */
export interface EngineStream {
  say(text: string): void
  end(reason?: string, promptTokens?: number): void
  raw(bytes: string): void
  hangUp(): void
  readonly response: ServerResponse
}

/** A question that the engine asks itself when it is loaded is not the test's business. */
const isTrial = ({ body }: EngineRequest): boolean =>
  body.max_tokens === 1 && body['temperature'] === undefined

/** Somebody else's engine, as a test wants it to behave: it speaks OpenAI's API over a real connection. */
export class OpenAiServer {
  readonly #server: Server
  readonly #port: number | undefined
  models: readonly string[] | 'none' = ['llama3.2:3b']
  key: string | undefined
  /** What it does with the beginning of an answer, when it is tried. */
  manner: 'continues' | 'echoes' | 'refuses' = 'continues'
  /** Answers a request instead of `talk`. */
  reply: ((request: EngineRequest, response: ServerResponse) => void) | undefined
  /** What it says. */
  talk: (stream: EngineStream, request: EngineRequest) => void | Promise<void> = (stream) => {
    for (const word of ['Hello', ' from', ' elsewhere']) stream.say(word)
    stream.end()
  }
  /** Each request but the trials, in order. */
  readonly requests: EngineRequest[] = []
  readonly #waiting: (() => void)[] = []

  private constructor(port?: number) {
    this.#port = port
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async start(port?: number): Promise<OpenAiServer> {
    const server = new OpenAiServer(port)
    await server.listen()
    return server
  }

  async listen(port = this.#port ?? 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1`
  }

  async nextRequest(index = 0): Promise<EngineRequest> {
    while (this.requests.length <= index) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const found = this.requests[index]
    if (!found) throw new Error('nothing was asked')
    return found
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = incoming.url ?? '/'
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    if (this.key !== undefined && incoming.headers.authorization !== `Bearer ${this.key}`) {
      response.writeHead(401, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: { message: 'wrong\u001b[31m key', code: 'invalid_api_key' } }))
      return
    }
    if (path === '/v1/models') {
      if (this.models === 'none') response.writeHead(404).end('no')
      else response.end(JSON.stringify({ object: 'list', data: this.models.map((id) => ({ id })) }))
      return
    }
    const gone = new Promise<void>((resolve) => response.once('close', resolve))
    const text = Buffer.concat(chunks).toString('utf8')
    const body = bodySchema.parse(text === '' ? {} : JSON.parse(text))
    const request = { path, headers: incoming.headers, body, gone }
    const trial = isTrial(request)
    if (!trial) {
      this.requests.push(request)
      for (const wake of this.#waiting.splice(0)) wake()
    }
    if (this.reply) return this.reply(request, response)
    const begun = body.messages?.at(-1)
    const isBegun = begun?.role === 'assistant'
    if (this.manner === 'refuses' && isBegun) {
      response.writeHead(400).end('{"error":{"message":"the last message must be of the user"}}')
      return
    }
    const stream = openStream(response, path)
    if (trial) {
      stream.say(this.manner === 'echoes' && isBegun ? `${begun.content} C` : ' C')
      stream.end('length')
    } else await this.talk(stream, request)
  }
}

function openStream(response: ServerResponse, path: string): EngineStream {
  const isChat = path === '/v1/chat/completions'
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const event = (value: object): void => void response.write(`data: ${JSON.stringify(value)}\n\n`)
  return {
    response,
    say: (text) =>
      event({
        choices: [{ index: 0, ...(isChat ? { delta: { content: text } } : { text }), finish_reason: null }],
      }),
    end: (reason = 'stop', promptTokens) => {
      event({ choices: [{ index: 0, ...(isChat ? { delta: {} } : { text: '' }), finish_reason: reason }] })
      if (promptTokens !== undefined)
        event({ choices: [], usage: { prompt_tokens: promptTokens, completion_tokens: 1 } })
      response.end('data: [DONE]\n\n')
    },
    raw: (bytes) => void response.write(bytes),
    hangUp: () => void response.destroy(),
  }
}
