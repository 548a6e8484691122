import { Heap } from 'heap-js'
import {
  type Again,
  isInVain,
  nextStep,
  toExcluded,
  type AttemptRecord,
} from '../../../machines/request/index.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { protocolVersion, type ErrorCode, type Status } from '../../../protocol/index.ts'
import type { Failed, Outcome, Sent, WorkerSpec, World } from './simulated-world.ts'
import { llama, toWorkerId } from './support.ts'

interface Request {
  readonly client: number
  readonly affinityKey: string | undefined
  attempts: readonly AttemptRecord[]
  tokens: number
}

interface Attempt {
  readonly request: Request
  readonly worker: Worker
  readonly sentMs: number
  isOver: boolean
  firstTokenMs: number | undefined
}

interface Worker {
  readonly index: number
  readonly id: string
  readonly spec: WorkerSpec
  readonly queue: Attempt[]
  readonly running: Set<Attempt>
  isThere: boolean
  toldAtMs: number
  isTelling: boolean
}

/** As a node's requests do unless told otherwise. */
const attemptsMax = 5
const recheckMs = 250
const discoverMs = 15_000
const stallMs = 15_000
/** Load is told when it changes; health by itself is news less often. */
const healthEveryMs = 5_000

/**
 * Clients and workers in simulated time: the clients choose by real directories, whose statuses come late. Where a
 * request goes that was let down, or that finds nobody, is decided by the functions that the request machine asks.
 */
export function simulate(world: World): Outcome {
  const simulation = new Simulation(world)
  simulation.run()
  return simulation
}

class Simulation implements Outcome {
  readonly sent: Sent[] = []
  readonly failed: Failed[] = []
  readonly served: number[]
  readonly asked: number[]
  readonly answered: number[]
  readonly inVain: number[]
  readonly #world: World
  readonly #random: () => number
  readonly #directories: readonly WorkerDirectory[]
  readonly #workers: readonly Worker[]
  readonly #attempts = new Set<Attempt>()
  readonly #events = new Heap<{ readonly atMs: number; readonly order: number; readonly run: () => void }>(
    (a, b) => a.atMs - b.atMs || a.order - b.order,
  )
  #order = 0
  #nowMs = 0
  /** Requests not asked yet, and those without an end. */
  #left: number
  #open: number

  constructor(world: World) {
    this.#world = world
    this.#random = createRandom(world.seed)
    this.#directories = Array.from({ length: world.clients }, () => new WorkerDirectory())
    this.#workers = world.workers.map((spec, index) => ({
      index,
      id: toWorkerId(index),
      spec,
      queue: [],
      running: new Set(),
      isThere: true,
      toldAtMs: -Infinity,
      isTelling: false,
    }))
    this.served = world.workers.map(() => 0)
    this.asked = this.#directories.map(() => 0)
    this.answered = this.#directories.map(() => 0)
    this.inVain = this.#directories.map(() => 0)
    this.#left = world.requests
    this.#open = world.requests
  }

  run(): void {
    for (const worker of this.#workers) this.#appear(worker)
    this.#after(2 * this.#world.delayMs + 1, () => this.#begin())
    while (this.#open > 0) {
      const event = this.#events.pop()
      if (event === undefined) return
      this.#nowMs = event.atMs
      event.run()
    }
  }

  get endMs(): number {
    return this.#nowMs
  }

  #after(ms: number, run: () => void): void {
    this.#events.push({ atMs: this.#nowMs + ms, order: this.#order++, run })
  }

  /** The same, for what reaches the other side. */
  #arriving(run: () => void, ms = 0): void {
    this.#after(ms + this.#world.delayMs, run)
  }

  #around(mean: number): number {
    return mean * (1 + this.#world.noise * (2 * this.#random() - 1))
  }

  // Clients.

  #begin(): void {
    const { arrivals, clients, workers } = this.#world
    if ('each' in arrivals) {
      for (let client = 0; client < clients; client++) {
        for (let one = 0; one < arrivals.each; one++) this.#ask(client)
      }
      return
    }
    const perMs = workers
      .filter(({ letdown }) => letdown === undefined)
      .reduce((sum, { slots, promptMs, answerMs }) => sum + slots / (promptMs + answerMs), 0)
    const ask = (): void => {
      if (this.#left === 0) return
      this.#ask(Math.floor(this.#random() * clients))
      this.#after(-Math.log(1 - this.#random()) / (perMs * arrivals.load), ask)
    }
    ask()
  }

  #ask(client: number): void {
    if (this.#left === 0) return
    this.#left--
    const { conversations = 0 } = this.#world
    this.asked[client] = (this.asked[client] ?? 0) + 1
    const affinityKey = conversations > 0 ? `${Math.floor(this.#random() * conversations)}` : undefined
    this.#search({ client, affinityKey, attempts: [], tokens: 0 })
  }

  #search(request: Request): void {
    if (this.#look(request, 'none')) return
    if (isInVain(request.attempts, request.tokens)) {
      if (!this.#look(request, 'lost')) this.#end(request, false)
    } else this.#lookAgain(request, this.#nowMs)
  }

  #lookAgain(request: Request, sinceMs: number): void {
    this.#after(recheckMs, () => {
      if (this.#nowMs - sinceMs >= discoverMs) this.#end(request, false)
      else if (!this.#look(request, 'lost or busy')) this.#lookAgain(request, sinceMs)
    })
  }

  /** Whether it found a worker, and went there. */
  #look(request: Request, again: Again): boolean {
    const { client, affinityKey } = request
    const exclude = toExcluded(request.attempts, again)
    const directory = this.#directories[client]
    const seed = Math.floor(this.#random() * 2 ** 32)
    const choice = directory?.choose({ modelId: 'llama', exclude, affinityKey }, seed, this.#nowMs)
    const worker = this.#workers.find(({ id }) => id === choice?.workerId)
    if (directory === undefined || choice === undefined || worker === undefined) {
      this.inVain[client] = (this.inVain[client] ?? 0) + 1
      return false
    }
    this.sent.push({ client, worker: worker.index, atMs: this.#nowMs, trace: choice.trace })
    directory.started(worker.id, this.#nowMs)
    const attempt = { request, worker, sentMs: this.#nowMs, isOver: false, firstTokenMs: undefined }
    this.#attempts.add(attempt)
    this.#arriving(() => this.#arrive(attempt))
    return true
  }

  #end(request: Request, isAnswered: boolean): void {
    const { client } = request
    this.#open--
    if (isAnswered) this.answered[client] = (this.answered[client] ?? 0) + 1
    if ('each' in this.#world.arrivals) this.#ask(client)
  }

  #firstToken(attempt: Attempt): void {
    if (attempt.isOver) return
    attempt.firstTokenMs = this.#nowMs
    attempt.request.tokens = 1
    const seen = { promptTokens: 256, ms: this.#nowMs - attempt.sentMs }
    this.#directories[attempt.request.client]?.firstToken(attempt.worker.id, seen, this.#nowMs)
  }

  #finished(attempt: Attempt): void {
    if (!this.#close(attempt)) return
    const { request, worker, firstTokenMs = this.#nowMs } = attempt
    const seen = { tokens: 50, ms: this.#nowMs - firstTokenMs }
    this.#directories[request.client]?.finished(worker.id, seen, this.#nowMs)
    this.served[worker.index] = (this.served[worker.index] ?? 0) + 1
    this.#end(request, true)
  }

  #failed(attempt: Attempt, code: ErrorCode, retryAfterMs = 0): void {
    if (!this.#close(attempt)) return
    const { request, worker } = attempt
    this.#directories[request.client]?.failed(worker.id, code, this.#nowMs, retryAfterMs)
    this.failed.push({ client: request.client, worker: worker.index, code })
    const record = {
      workerId: worker.id,
      modelId: llama.id,
      modelHash: llama.hash,
      contextTokens: llama.contextTokens,
      atMs: attempt.sentMs,
      code,
    }
    request.attempts = [...request.attempts, record]
    if (nextStep({ attempts: request.attempts, attemptsMax }) === 'fail') this.#end(request, false)
    else this.#search(request)
  }

  #close(attempt: Attempt): boolean {
    if (attempt.isOver) return false
    attempt.isOver = true
    this.#attempts.delete(attempt)
    const { queue, running } = attempt.worker
    running.delete(attempt)
    const place = queue.indexOf(attempt)
    if (place >= 0) queue.splice(place, 1)
    this.#fill(attempt.worker)
    this.#changed(attempt.worker)
    return true
  }

  // Workers.

  #appear(worker: Worker): void {
    const { leavesEveryMs } = worker.spec
    this.#connect(worker)
    const sample = (): void => {
      this.#changed(worker)
      this.#after(healthEveryMs, sample)
    }
    this.#after(this.#random() * healthEveryMs, sample)
    if (leavesEveryMs === undefined) return
    const leave = (): void => {
      this.#leave(worker)
      this.#after(leavesEveryMs * 0.1, () => {
        this.#connect(worker)
        this.#after(leavesEveryMs * 0.9, leave)
      })
    }
    this.#after(leavesEveryMs * this.#random(), leave)
  }

  #connect(worker: Worker): void {
    worker.isThere = true
    const models = [{ ...llama, slots: worker.spec.slots }]
    const hello = { models, protocol: protocolVersion, local: false }
    for (const directory of this.#directories) directory.hello(worker.id, hello, this.#nowMs)
    this.#tell(worker)
  }

  #leave(worker: Worker): void {
    worker.isThere = false
    for (const directory of this.#directories) directory.remove(worker.id, this.#nowMs)
    const lost = Array.from(this.#attempts).filter((attempt) => attempt.worker === worker)
    for (const attempt of lost) this.#failed(attempt, 'QM_WORKER_LOST')
  }

  #arrive(attempt: Attempt): void {
    const { worker, isOver } = attempt
    const { slots, queueCapacity, letdown } = worker.spec
    if (isOver || !worker.isThere) return
    if (letdown !== undefined) {
      const { code, afterMs, firstToken, retryAfterMs } = letdown
      if (firstToken) this.#arriving(() => this.#firstToken(attempt), Math.min(afterMs, 10))
      if (afterMs < stallMs) this.#arriving(() => this.#failed(attempt, code, retryAfterMs), afterMs)
      else this.#after(stallMs, () => this.#failed(attempt, 'QM_WORKER_STALLED'))
    } else if (worker.running.size >= slots && worker.queue.length >= queueCapacity) {
      this.#arriving(() => this.#failed(attempt, 'QM_QUEUE_FULL'))
    } else {
      worker.queue.push(attempt)
      this.#fill(worker)
      this.#changed(worker)
    }
  }

  #fill({ spec, queue, running }: Worker): void {
    while (running.size < spec.slots) {
      const next = queue.shift()
      if (next === undefined) return
      running.add(next)
      const promptMs = this.#around(spec.promptMs)
      this.#arriving(() => this.#firstToken(next), promptMs)
      this.#arriving(() => this.#finished(next), promptMs + this.#around(spec.answerMs))
    }
  }

  /** On change, at most once in `statusEveryMs`. */
  #changed(worker: Worker): void {
    if (worker.isTelling) return
    worker.isTelling = true
    this.#after(Math.max(0, worker.toldAtMs + this.#world.statusEveryMs - this.#nowMs), () => {
      worker.isTelling = false
      this.#tell(worker)
    })
  }

  #tell(worker: Worker): void {
    if (!worker.isThere) return
    worker.toldAtMs = this.#nowMs
    const status = this.#toStatus(worker)
    this.#arriving(() => {
      for (const directory of this.#directories) directory.status(worker.id, status, this.#nowMs)
    })
  }

  #toStatus({ spec, queue, running }: Worker): Status {
    const { slots, queueCapacity, isLying = false } = spec
    // What else the machine does, and a fifth for the queue: what the slots do is no part of it.
    const health = 100 - 20 * (queue.length / queueCapacity) - 20 * this.#world.noise * this.#random()
    return {
      type: 'status',
      models: [{ ...llama, slots }],
      healthScore: isLying ? 100 : Math.round(health),
      state: 'idle',
      accepting: true,
      queueLength: isLying ? 0 : queue.length,
      queueCapacity,
      slotsBusy: isLying ? 0 : running.size,
      slots,
    }
  }
}
