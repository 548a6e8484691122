import { createActor, SimulatedClock, type ActorRefFrom } from 'xstate'
import {
  encodeFrame,
  limits,
  type ClientMessage,
  type ErrorCode,
  type Finish,
  type ModelAd,
  type PeerId,
  type Prompt,
  type WorkerMessage,
} from '../../../protocol/index.ts'
import { Asker, type AskDefaults, type AskerPorts } from '../../../actors/request/asker.ts'
import { Dispatcher } from '../../../actors/request/dispatcher.ts'
import type { WorkerWire } from '../../../actors/peer/wire.ts'
import type { LifeSigns } from '../../../machines/request/index.ts'

export const model: ModelAd = { id: 'tiny', hash: 'a'.repeat(64), contextTokens: 4_096, slots: 2 }

export const toPeerId = (index: number): PeerId => index.toString(16).padStart(64, '0')

export const toFinish = (completionTokens: number, over: Partial<Finish> = {}): Finish => ({
  reason: 'stop',
  promptTokens: 7,
  cachedTokens: 0,
  completionTokens,
  queuedMs: 3,
  firstTokenMs: 5,
  totalMs: 9,
  ...over,
})

/** A worker at the far end of a wire that says exactly what a test tells it to. */
export class ScriptedWorker implements WorkerWire {
  readonly peerId: PeerId
  readonly heard: ClientMessage[] = []
  readonly #dispatcher: Dispatcher
  /** Alive unless a test says otherwise. */
  life: LifeSigns = { heardAtMs: Infinity, silenceMsMax: 150, ping: () => {}, sample: () => {} }
  /** Called with each message of the client, within its `send`: the hardest order there is. */
  onMessage: ((message: ClientMessage) => void) | undefined

  constructor(dispatcher: Dispatcher, peerId: PeerId) {
    this.#dispatcher = dispatcher
    this.peerId = peerId
  }

  send(message: ClientMessage): boolean {
    if (!fitsFrame(message)) return false
    this.heard.push(message)
    this.onMessage?.(message)
    return true
  }

  connect(): this {
    this.#dispatcher.opened(this)
    return this
  }

  disconnect(): void {
    this.#dispatcher.closed(this)
  }

  say(message: WorkerMessage) {
    return this.#dispatcher.received(this, message)
  }

  get prompt(): Prompt {
    const prompt = this.heard.findLast((message) => message.type === 'prompt')
    if (!prompt) throw new Error('no prompt came')
    return prompt
  }

  get requestId(): string {
    return this.prompt.requestId
  }

  get acks(): number[] {
    return this.heard.flatMap((message) => (message.type === 'ack' ? [message.received] : []))
  }

  get wasCancelled(): boolean {
    return this.heard.some((message) => message.type === 'cancel')
  }

  position(position: number, promptTokens = 7) {
    return this.say({ type: 'queue-status', requestId: this.requestId, position, etaMs: 50, promptTokens })
  }

  /** Tokens `from`, `from + 1`, … with the texts `t0 `, `t1 `, …, in one frame. */
  tokens(from: number, count: number, finish?: Finish) {
    const tokens = Array.from({ length: count }, (_, index) => from + index)
    return this.say({
      type: 'response',
      requestId: this.requestId,
      seq: from,
      tokens,
      text: tokens.map((token) => `t${token} `).join(''),
      ...(finish && { finish }),
    })
  }

  error(code: ErrorCode, retryAfterMs?: number) {
    const hint = retryAfterMs === undefined ? {} : { retryAfterMs }
    return this.say({
      type: 'inference_error',
      requestId: this.requestId,
      code,
      message: `no: ${code}`,
      ...hint,
    })
  }
}

/** As a real connection finds it out. */
function fitsFrame(message: ClientMessage): boolean {
  try {
    encodeFrame(message)
    return true
  } catch {
    return false
  }
}

export const textOf = (tokens: number): string =>
  Array.from({ length: tokens }, (_, index) => `t${index} `).join('')

type StandingEntry = readonly [what: string, workerId: PeerId, detail?: unknown, retryAfterMs?: number]

export interface Rig {
  readonly clock: SimulatedClock
  readonly dispatcher: Dispatcher
  readonly asker: Asker
  readonly ports: AskerPorts
  readonly requester: ActorRefFrom<ReturnType<Asker['createRequester']>>
  readonly workers: ScriptedWorker[]
  readonly standing: StandingEntry[]
  /** Workers that said they are draining. */
  readonly leaving: Set<PeerId>
  addWorker(): ScriptedWorker
  /** Steps the clock in small ticks: one jump would skip timers that are started by timers. */
  pass(ms: number): void
}

/** The client side of a node, whole, on a clock that stands still. */
export function createRig(
  options: { defaults?: Partial<AskDefaults>; choose?: AskerPorts['choose'] } = {},
): Rig {
  const clock = new SimulatedClock()
  const now = (): number => clock.now()
  const dispatcher = new Dispatcher(now)
  const workers: ScriptedWorker[] = []
  const standing: StandingEntry[] = []
  const leaving = new Set<PeerId>()
  const ports: AskerPorts = {
    dispatcher,
    now,
    standing: {
      started: (workerId) => standing.push(['started', workerId]),
      firstToken: (workerId, seen) => standing.push(['firstToken', workerId, seen]),
      finished: (workerId, seen) => standing.push(['finished', workerId, seen]),
      failed: (workerId, code, _atMs, retryAfterMs) =>
        standing.push(
          retryAfterMs === undefined ? ['failed', workerId, code] : ['failed', workerId, code, retryAfterMs],
        ),
      cancelled: (workerId) => standing.push(['cancelled', workerId]),
    },
    choose:
      options.choose ??
      (({ exclude }) => {
        const worker = workers.find(({ peerId }) => !exclude.has(peerId) && dispatcher.isConnected(peerId))
        return worker ? { workerId: worker.peerId, model } : null
      }),
    hasChoice: ({ exclude, contextTokens = 0 }) =>
      model.contextTokens >= contextTokens &&
      workers.some(({ peerId }) => !exclude.has(peerId) && dispatcher.isConnected(peerId)),
    isLeaving: (workerId) => leaving.has(workerId),
    misfit: () => undefined,
    whyNobody: ({ modelId }) => ({ code: 'QM_NO_WORKERS', message: `nobody has ${modelId}` }),
    requester: () => requester,
    defaults: options.defaults,
  }
  const asker = new Asker(ports)
  const requester: Rig['requester'] = createActor(asker.createRequester(), {
    clock,
    input: { requestsMax: limits.requestsOpenMax },
  })
  requester.start()
  return {
    clock,
    dispatcher,
    asker,
    ports,
    requester,
    workers,
    standing,
    leaving,
    addWorker: () => {
      const worker = new ScriptedWorker(dispatcher, toPeerId(workers.length + 1)).connect()
      workers.push(worker)
      requester.send({ type: 'workers.changed' })
      return worker
    },
    pass: (ms) => {
      const end = clock.now() + ms
      while (clock.now() < end) clock.increment(Math.min(50, end - clock.now()))
    },
  }
}

/** Lets everything that is ready run: a question is opened one microtask after it was asked. */
export const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
