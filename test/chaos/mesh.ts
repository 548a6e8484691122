import { fork, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import createTestnet from 'hyperdht/testnet.js'
import type { NoiseStream } from 'hyperswarm'
import { pino } from 'pino'
import { configFromOptions } from '../../runtime/config/index.ts'
import { createEphemeralIdentity } from '../../runtime/identity.ts'
import { NodeSystem } from '../../runtime/node-system.ts'
import type { ModelAd, PeerId, Prompt } from '../../protocol/index.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import { watchConnections } from './connections.ts'
import { HostilePeer, type Chunk } from './hostile-peer.ts'
import type { FromWorker, ToWorker, WorkerState } from './worker-messages.ts'
import type { PlannedStream } from './plan.ts'

/** Milliseconds after which something that should come by itself will not come any more. */
const boundMs = 60_000

/** Undisturbed answers with a stop string that are kept: no other round asks for the same. */
const stoppedMax = 16

/** Nodes of the DHT that nobody kills: every worker is one, too, and most of those are dead after a while. */
const dhtNodes = 8

/** Hostile peers that stay connected, so that one is at hand when another was thrown out. */
const hostilesMax = 2

/** Resolves when it holds, and rejects with what was waited for when it does not come to hold. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = boundMs,
): Promise<void> {
  const endsAt = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > endsAt) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}

/** An answer that nothing disturbed. */
export interface Reference {
  readonly text: string
  readonly tokens: readonly number[]
  readonly chunks: readonly Chunk[]
  readonly finishReason: string
}

export class ChaosWorker {
  readonly child: ChildProcess
  readonly folder: string
  readonly startedAtMs = performance.now()
  id: PeerId = ''
  isUp = false
  isGone = false
  /** A process that is stopped cannot be asked. */
  isFrozen = false
  readonly exited: Promise<unknown>
  #tellState: (state: WorkerState) => void = () => {}

  constructor(child: ChildProcess, folder: string, onFired: (requestId: string) => void, onGone: () => void) {
    this.child = child
    this.folder = folder
    this.exited = once(child, 'exit')
    child.on('message', (message: FromWorker) => {
      if (message.type === 'ready') {
        this.id = message.id
        this.isUp = true
      } else if (message.type === 'fired') onFired(message.requestId)
      else this.#tellState(message)
    })
    child.on('error', () => {})
    child.once('exit', () => {
      this.isUp = false
      this.isGone = true
      onGone()
    })
  }

  send(message: ToWorker): void {
    if (this.child.connected) this.child.send(message, () => {})
  }

  state(): Promise<WorkerState> {
    const state = new Promise<WorkerState>((resolve) => {
      this.#tellState = resolve
    })
    this.send({ type: 'status' })
    return state
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }
}

export interface ChaosMeshOptions {
  /** Workers that are kept running, or on their way up. */
  readonly workers: number
  /** Those of them that a round needs. */
  readonly atLeast: number
  /** Hostile peers are kept ready. */
  readonly hasHostile: boolean
}

/** A DHT on loopback, a client in this process, and worker processes that are replaced when they die. */
export class ChaosMesh {
  readonly client: NodeSystem
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[]
  readonly workers = new Set<ChaosWorker>()
  /** Worker processes that have not ended. */
  readonly processes = new Set<ChildProcess>()
  /** Absent between rounds: whoever fails then is replaced, as nobody would undo it. */
  onFired: ((requestId: string, worker: ChaosWorker) => void) | undefined
  /** Workers that a round begins with. */
  readonly atLeast: number
  readonly #options: ChaosMeshOptions
  readonly #root: string
  readonly #modelPath: string
  readonly #secret: string
  readonly #closeDht: () => Promise<void>
  readonly #streams = new Map<PeerId, Set<NoiseStream>>()
  readonly #connectedAtMs = new Map<PeerId, number>()
  readonly #references = new Map<string, Reference>()
  /** Keys of those with a stop string, oldest first. */
  readonly #stopped: string[] = []
  readonly #hostiles = new Set<HostilePeer>()
  readonly #joining = new Set<Promise<void>>()
  #started = 0
  #lookedAtMs = -Infinity
  #isClosing = false
  #closed: Promise<void> | undefined

  private constructor(
    options: ChaosMeshOptions,
    root: string,
    testnet: Awaited<ReturnType<typeof createTestnet>>,
  ) {
    this.#options = options
    this.atLeast = options.atLeast
    this.#root = root
    this.#closeDht = () => testnet.destroy()
    this.bootstrap = testnet.bootstrap
    this.#modelPath = writeTinyGguf(join(root, 'tiny.gguf'), { isEndless: true })
    this.#secret = randomUUID()
    watchConnections((stream) => {
      const peerId = stream.remotePublicKey.toString('hex')
      this.#connectedAtMs.set(peerId, performance.now())
      const streams = this.#streams.get(peerId) ?? new Set()
      this.#streams.set(peerId, streams.add(stream))
      stream.once('close', () => {
        streams.delete(stream)
        if (streams.size > 0) return
        this.#streams.delete(peerId)
        this.#connectedAtMs.delete(peerId)
      })
    })
    const identity = createEphemeralIdentity()
    this.client = new NodeSystem({
      selfId: identity.id,
      config: configFromOptions({ dataDir: root, models: [] }),
      swarmSettings: {
        seed: identity.deriveSeed('noise'),
        agent: 'chaos',
        roles: ['client'],
        secret: this.#secret,
        bootstrap: this.bootstrap,
        host: '127.0.0.1',
        mdns: false,
      },
      models: [],
      engine: { load: () => Promise.reject(new Error('a client has no models')) },
      logger: pino({ level: 'silent' }),
      onKnownNodes: () => {},
    })
  }

  static async open(options: ChaosMeshOptions): Promise<ChaosMesh> {
    const root = await mkdtemp(join(tmpdir(), 'qmesh-chaos-'))
    const mesh = new ChaosMesh(options, root, await createTestnet(dhtNodes))
    mesh.client.start()
    await mesh.client.opened()
    mesh.#fill()
    await mesh.settled()
    if (options.hasHostile) await until('a hostile peer', () => mesh.#look() || mesh.hostile() !== undefined)
    return mesh
  }

  /** So many workers run that the client knows and that would take a request. */
  async settled(count = this.#options.atLeast): Promise<void> {
    await until(`${count} workers that the client knows`, () => {
      this.#fill()
      this.#look()
      return [...this.workers].filter((worker) => this.#isReachable(worker)).length >= count
    }).catch(async (error: Error) => {
      const others = [...this.workers].filter((worker) => !this.#isReachable(worker))
      throw new Error(
        `${error.message}; ${(await Promise.all(others.map((one) => this.#describe(one)))).join()}`,
      )
    })
  }

  async #describe(worker: ChaosWorker): Promise<string> {
    const { id, isUp, startedAtMs } = worker
    const state = isUp && (await Promise.race([worker.state(), sleep(1_000)]))
    const view = this.client.client.directory.list(performance.now()).find(({ workerId }) => workerId === id)
    const connectedAtMs = this.#connectedAtMs.get(id)
    const connected =
      connectedAtMs === undefined ? 'never' : `${Math.round(connectedAtMs - startedAtMs)} ms after`
    return JSON.stringify({
      id: id.slice(0, 6),
      runsForMs: Math.round(performance.now() - startedAtMs),
      connected,
      state,
      view: view && { accepting: view.accepting, models: view.models.length },
    })
  }

  /** One that came back as itself is known from before: what counts is a connection to the process that runs now. */
  #isReachable({ isUp, id, startedAtMs }: ChaosWorker): boolean {
    return isUp && this.isKnown(id) && (this.#connectedAtMs.get(id) ?? 0) > startedAtMs
  }

  /** Whether the client would ask it. */
  isKnown(id: PeerId): boolean {
    return this.client.client.directory
      .list(performance.now())
      .some(({ workerId, accepting, models }) => workerId === id && accepting && models.length > 0)
  }

  worker(id: PeerId): ChaosWorker | undefined {
    return [...this.workers].find((worker) => worker.id === id)
  }

  /** The model that every worker serves. */
  async model(): Promise<ModelAd> {
    let model: ModelAd | undefined
    await until('a worker that says what it serves', () => {
      const known = this.client.client.directory.list(performance.now())
      model = known.find(({ workerId, models }) => models.length > 0 && this.worker(workerId))?.models[0]
      return model !== undefined
    })
    if (!model) throw new Error('no model')
    return model
  }

  /** Destroys the client's end of what connects it to this worker. */
  cut(workerId: PeerId): void {
    for (const stream of this.#streams.get(workerId) ?? []) stream.destroy()
  }

  /** What the stream would be without any trouble. To be asked for while nothing else runs. */
  async reference(stream: PlannedStream): Promise<Reference> {
    const { prompt, maxTokens, stopAt } = stream
    if (stopAt === undefined) return this.#undisturbed(prompt, maxTokens, undefined)
    const whole = await this.#undisturbed(prompt, maxTokens, undefined)
    const stop = toStop(whole.text, stopAt)
    return this.#undisturbed(prompt, maxTokens, stop)
  }

  stopOf({ prompt, maxTokens, stopAt }: PlannedStream): string | undefined {
    const whole = this.#references.get(toKey(prompt, maxTokens, undefined))
    return stopAt === undefined || !whole ? undefined : toStop(whole.text, stopAt)
  }

  /** For a hostile peer: what the right answer is, if it is known. */
  answerOf(prompt: Prompt): readonly Chunk[] | undefined {
    return this.#references.get(toKey(prompt.messages?.[0]?.content ?? '', prompt.maxTokens, prompt.stop[0]))
      ?.chunks
  }

  /** One that the client is connected to, if any; the next is on its way. */
  hostile(): HostilePeer | undefined {
    this.#invite()
    return [...this.#hostiles].find(({ id }) => this.#streams.has(id))
  }

  /** Who runs now; undefined while somebody is on the way in or out. */
  get population(): { readonly processes: number; readonly hostiles: number } | undefined {
    if (this.#joining.size > 0) return undefined
    return { processes: this.processes.size, hostiles: this.#hostiles.size }
  }

  async expel(hostile: HostilePeer): Promise<void> {
    this.#hostiles.delete(hostile)
    await hostile.leave()
  }

  /** May be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#isClosing = true
    for (const { child } of this.workers) child.kill('SIGKILL')
    await Promise.all([...[...this.workers].map(({ exited }) => exited), ...this.#joining])
    await Promise.all([this.client.stop(), ...[...this.#hostiles].map((hostile) => hostile.leave())])
    await this.#closeDht()
    await rm(this.#root, { recursive: true, force: true })
  }

  /** A client that has enough workers looks for more every two minutes: a round does not wait so long. */
  #look(): false {
    if (performance.now() - this.#lookedAtMs < 1_000) return false
    this.#lookedAtMs = performance.now()
    this.client.actor.system.get('swarm')?.send({ type: 'network.changed' })
    return false
  }

  #invite(): void {
    if (!this.#options.hasHostile) return
    while (!this.#isClosing && this.#hostiles.size + this.#joining.size < hostilesMax) {
      const joining = HostilePeer.join({ bootstrap: this.bootstrap, secret: this.#secret }).then(
        (hostile) => {
          this.#joining.delete(joining)
          this.#hostiles.add(hostile)
        },
      )
      this.#joining.add(joining)
    }
  }

  async #undisturbed(prompt: string, maxTokens: number, stop: string | undefined): Promise<Reference> {
    const key = toKey(prompt, maxTokens, stop)
    const known = this.#references.get(key)
    if (known) return known
    // A worker that is still in trouble from the round before is no reference: then again.
    for (let left = 5; ; left--) {
      const answer = this.client.client.asker.ask(prompt, {
        maxTokens,
        temperature: 0,
        ...(stop !== undefined && { stop: [stop] }),
      })
      const chunks: Chunk[] = []
      for await (const chunk of answer) chunks.push(chunk)
      const { text, finishReason, attempts } = await answer.result
      const reference = { text, tokens: chunks.flatMap(({ tokens }) => tokens), chunks, finishReason }
      if (attempts.length === 1) {
        this.#references.set(key, reference)
        if (stop !== undefined && this.#stopped.push(key) > stoppedMax)
          this.#references.delete(this.#stopped.shift() ?? '')
        return reference
      }
      if (left === 0) throw new Error('no undisturbed answer in five tries')
    }
  }

  #fill(): void {
    if (this.#isClosing) return
    while (this.workers.size < this.#options.workers) this.#start()
  }

  #start(folder = join(this.#root, `worker-${this.#started++}`)): void {
    const isSource = import.meta.url.endsWith('.ts')
    const child = fork(
      isSource
        ? new URL('worker-process.ts', import.meta.url)
        : new URL('worker-process.js', import.meta.url),
      [this.#modelPath, folder, this.#secret, ...this.bootstrap.map(({ host, port }) => `${host}:${port}`)],
      {
        execArgv: isSource ? ['--import', 'tsx'] : [],
        // Native code that dies with its thread has a word to say about it, each time.
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      },
    )
    this.processes.add(child)
    child.once('exit', () => this.processes.delete(child))
    const worker: ChaosWorker = new ChaosWorker(
      child,
      folder,
      (requestId) => (this.onFired ? this.onFired(requestId, worker) : worker.kill()),
      () => {
        this.workers.delete(worker)
        if (this.#isClosing) return
        // Every other one comes back as itself: with its folder, and so with its key.
        if (this.#started % 2 === 0) this.#start(folder)
        else {
          void rm(folder, { recursive: true, force: true })
          this.#start()
        }
      },
    )
    this.workers.add(worker)
  }
}

const toKey = (prompt: string, maxTokens: number, stop: string | undefined): string =>
  JSON.stringify([prompt, maxTokens, stop ?? null])

/** Three characters from the middle of a text, none of them half a letter. */
function toStop(text: string, at: number): string {
  const letters = Array.from(text)
  const start = Math.floor(at * Math.max(0, letters.length - 3))
  return letters.slice(start, start + 3).join('') || 'never said'
}
