import { randomBytes } from 'node:crypto'
import { raw } from 'compact-encoding'
import DHT from 'hyperdht'
import Hyperswarm, { type NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import { inferenceProtocol } from '../../actors/peer/inference-channel.ts'
import type { NodeAddress } from '../../actors/swarm/index.ts'
import {
  createRequestId,
  encodeFrame,
  FrameDecoder,
  inferenceNetwork,
  limits,
  parseInferenceMessage,
  protocolVersion,
  toSecretProof,
  toTopic,
  type ErrorCode,
  type Finish,
  type InferenceMessage,
  type ModelAd,
  type Prompt,
} from '../../protocol/index.ts'
import type { PlannedHostile } from './plan.ts'

export interface Chunk {
  readonly tokens: readonly number[]
  readonly text: string
}

/** The undisturbed answer to a prompt, as far as anybody knows it. */
export type AnswerOf = (prompt: Prompt) => readonly Chunk[] | undefined

export interface HostileOptions {
  readonly bootstrap: readonly NodeAddress[]
  readonly secret: string
}

interface Plan extends PlannedHostile {
  readonly model: ModelAd
  readonly answerOf: AnswerOf
}

/** A peer that is not QMesh and does harm. It says nothing of itself until `begin`. */
export class HostilePeer {
  readonly id: string
  /** Prompts that came. */
  hits = 0
  readonly #dht: DHT
  readonly #swarm: Hyperswarm
  readonly #lines = new Set<Line>()
  #plan: Plan | undefined

  private constructor(dht: DHT, secret: string) {
    const keyPair = DHT.keyPair(randomBytes(32))
    this.id = keyPair.publicKey.toString('hex')
    this.#dht = dht
    this.#swarm = new Hyperswarm({ dht, keyPair })
    this.#swarm.on('connection', (stream) => {
      stream.on('error', () => {})
      const line = new Line(stream, secret, (prompt) => void this.#serve(line, prompt))
      this.#lines.add(line)
      stream.once('close', () => this.#lines.delete(line))
      line.send(this.#status())
    })
    this.#swarm.join(toTopic({ network: inferenceNetwork, secret }), { server: true, client: true })
  }

  static async join({ bootstrap, secret }: HostileOptions): Promise<HostilePeer> {
    const dht = new DHT({ bootstrap, host: '127.0.0.1', firewalled: false, ephemeral: false })
    await dht.fullyBootstrapped()
    return new HostilePeer(dht, secret)
  }

  /** From now on it looks like the best worker there is. */
  begin(plan: Plan): void {
    this.#plan = plan
    this.hits = 0
    for (const line of this.#lines) line.send(this.#status())
  }

  /** It looks as if it served nothing. */
  end(): void {
    this.#plan = undefined
    for (const line of this.#lines) line.send(this.#status())
  }

  async leave(): Promise<void> {
    for (const line of this.#lines) line.stream.destroy()
    // It says no goodbye.
    await this.#swarm.destroy({ force: true }).catch(() => {})
    await this.#dht.destroy({ force: true }).catch(() => {})
    // A swarm that is destroyed by force keeps its timers for the next search, and each of them the process.
    await this.#swarm.clear()
  }

  #status(): InferenceMessage {
    const plan = this.#plan
    return {
      type: 'status',
      healthScore: 100,
      state: 'idle',
      accepting: plan !== undefined,
      queueLength: 0,
      queueCapacity: 64,
      slotsBusy: 0,
      slots: 8,
      models: plan ? [plan.model] : [],
    }
  }

  async #serve(line: Line, prompt: Prompt): Promise<void> {
    const plan = this.#plan
    if (!plan) return line.error(prompt, 'QM_OVERLOADED')
    this.hits++
    try {
      await new Deed(line, prompt, plan).do()
    } catch {
      // The client has left in the middle of it.
    }
  }
}

/** One connection, in messages and in whatever is none. */
class Line {
  readonly stream: NoiseStream
  readonly #send: (bytes: Uint8Array) => void
  /** Tokens acknowledged, by request. */
  readonly #acked = new Map<string, number>()
  readonly #gone = new Set<string>()
  readonly #waiting = new Set<() => void>()

  constructor(stream: NoiseStream, secret: string, onPrompt: (prompt: Prompt) => void) {
    this.stream = stream
    const decoder = new FrameDecoder()
    const onBytes = (bytes: Buffer): void => {
      for (const frame of decoder.push(bytes)) {
        const parsed = frame.ok ? parseInferenceMessage(frame.value) : undefined
        if (parsed?.kind === 'message') this.#take(parsed.message, onPrompt)
      }
    }
    const channel = Protomux.from(stream).createChannel({ protocol: inferenceProtocol })
    const message = channel?.addMessage({ encoding: raw, onmessage: onBytes })
    channel?.open()
    this.#send = (bytes) => message?.send(bytes)
    stream.once('close', () => this.#wake())
    this.send({
      type: 'hello',
      protocol: protocolVersion,
      agent: 'qmesh/0.1.0',
      roles: ['worker'],
      models: [],
      capabilities: [],
      proof: toSecretProof(secret, stream.handshakeHash, stream.publicKey),
    })
  }

  send(message: InferenceMessage): void {
    this.write(encodeFrame(message))
  }

  write(bytes: Uint8Array): void {
    if (!this.stream.destroying) this.#send(bytes)
  }

  error({ requestId }: Prompt, code: ErrorCode): void {
    this.send({ type: 'inference_error', requestId, code, message: 'said by a hostile peer' })
  }

  /** Waits until this many tokens may have been sent. Rejects when nobody waits for them any more. */
  async mayHaveSent({ requestId, resume }: Prompt, tokens: number): Promise<void> {
    for (;;) {
      if (this.stream.destroying || this.#gone.has(requestId)) throw new Error('nobody is there')
      const acked = this.#acked.get(requestId) ?? resume?.tokens.length ?? 0
      if (tokens - acked <= limits.unackedTokensMax) return
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  #take(message: InferenceMessage, onPrompt: (prompt: Prompt) => void): void {
    switch (message.type) {
      case 'ping':
        return this.send({ type: 'pong', id: message.id })
      case 'prompt':
        this.#gone.delete(message.requestId)
        this.#acked.delete(message.requestId)
        return onPrompt(message)
      case 'ack':
        this.#acked.set(message.requestId, message.received)
        return this.#wake()
      case 'cancel':
        this.#gone.add(message.requestId)
        return this.#wake()
      default:
    }
  }
}

/** What it does with one prompt: some of the right answer, and then the deed. */
class Deed {
  readonly #line: Line
  readonly #prompt: Prompt
  readonly #plan: Plan
  #seq: number

  constructor(line: Line, prompt: Prompt, plan: Plan) {
    this.#line = line
    this.#prompt = prompt
    this.#plan = plan
    this.#seq = prompt.resume?.tokens.length ?? 0
  }

  async do(): Promise<void> {
    const line = this.#line
    const { requestId, maxTokens } = this.#prompt
    const { deed, after } = this.#plan
    if (deed === 'fails-all') return line.error(this.#prompt, 'QM_INFERENCE_FAILED')
    if (deed === 'refuses-all') return line.error(this.#prompt, 'QM_OVERLOADED')
    if (deed === 'vanishes') return void line.stream.destroy()
    line.send({ type: 'queue-status', requestId, position: 0, etaMs: 1, promptTokens: 20 })
    const rest = this.#rest()
    if (!rest) return void line.stream.destroy()
    const all = rest.reduce((sum, { tokens }) => sum + tokens.length, 0)
    // What there is to harm only at the end needs all of the answer before.
    const isWhole = ['after-end', 'too-many', 'wrong-finish', 'no-finish'].includes(deed)
    const latest = await this.#give(rest, isWhole ? Infinity : Math.floor(after * all))
    const some = { tokens: [11, 12, 13], text: 'abc' }
    switch (deed) {
      case 'garbage':
        for (let count = 0; count < 12; count++) line.write(frameOf(randomBytes(40)))
        return
      case 'frame-too-long':
        return line.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 0]))
      case 'gap':
        return this.#say(this.#seq + 3, some)
      case 'twice':
        if (latest) return this.#say(this.#seq - latest.tokens.length, latest)
        return this.#say(this.#seq + 1, some)
      case 'goes-back':
        // At the beginning there is nothing behind: then it leaves a gap, for what it says must not be in order.
        return this.#say(this.#seq === 0 ? 1 : this.#seq - 1, some)
      case 'wrong-resume':
        return this.#say(this.#seq === 0 ? 7 : 0, some)
      case 'other-request':
        for (let count = 0; count < 12; count++) {
          line.send({ type: 'response', requestId: createRequestId(), seq: 0, ...toFrame(some) })
        }
        return
      case 'after-end':
        this.#end(this.#seq)
        this.#say(this.#seq, some)
        return this.#end(this.#seq + 3)
      case 'too-many':
        return this.#say(this.#seq, {
          tokens: Array.from({ length: maxTokens }, () => 11).slice(0, 256),
          text: '',
        })
      case 'wrong-finish':
        return this.#end(this.#seq + 1)
      case 'no-finish':
        setTimeout(() => line.stream.destroy(), 5)
        return
      case 'too-far-ahead':
        return this.#say(this.#seq, { tokens: Array.from({ length: 256 }, () => 11), text: '' })
      case 'speaks-for-client':
        return line.error(this.#prompt, 'QM_CANCELLED')
      case 'floods-positions':
        for (let position = 200; position > 0; position--) {
          line.send({ type: 'queue-status', requestId, position, etaMs: 1, promptTokens: 20 })
        }
        return void line.stream.destroy()
      case 'floods-status':
        for (let count = 0; count < 400; count++) line.write(frameOf(Buffer.from('{"type":"nothing"}')))
        return void line.stream.destroy()
    }
  }

  /** The chunks that follow what the reader has; undefined where it would have to cut one in two. */
  #rest(): readonly Chunk[] | undefined {
    const chunks = this.#plan.answerOf(this.#prompt)
    const { tokens, chars } = this.#prompt.resume ?? { tokens: [], chars: 0 }
    if (!chunks) return undefined
    let [before, charsBefore, index] = [0, 0, 0]
    for (const chunk of chunks) {
      if (before >= tokens.length) break
      before += chunk.tokens.length
      charsBefore += chunk.text.length
      index++
    }
    return before === tokens.length && charsBefore === chars ? chunks.slice(index) : undefined
  }

  async #give(chunks: readonly Chunk[], tokensMax: number): Promise<Chunk | undefined> {
    let latest: Chunk | undefined
    let given = 0
    for (const chunk of chunks) {
      if (given + chunk.tokens.length > tokensMax) return latest
      await this.#line.mayHaveSent(this.#prompt, this.#seq + chunk.tokens.length)
      this.#say(this.#seq, chunk)
      this.#seq += chunk.tokens.length
      given += chunk.tokens.length
      latest = chunk
    }
    return latest
  }

  #say(seq: number, chunk: Chunk): void {
    const { requestId } = this.#prompt
    this.#line.send({ type: 'response', requestId, seq, ...toFrame(chunk) })
  }

  #end(completionTokens: number): void {
    const { requestId } = this.#prompt
    const finish: Finish = {
      reason: 'length',
      promptTokens: 20,
      cachedTokens: 0,
      completionTokens,
      queuedMs: 0,
      firstTokenMs: 1,
      totalMs: 2,
    }
    this.#line.send({ type: 'response', requestId, seq: this.#seq, tokens: [], text: '', finish })
  }
}

const toFrame = ({ tokens, text }: Chunk) => ({ tokens: [...tokens], text })

function frameOf(body: Uint8Array): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}
