import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Answer, AnswerResult } from '../request/answer.ts'
import type { Embeddings } from '../request/embedder.ts'
import { toQMeshError } from '../../protocol/index.ts'
import type { GatewayPort } from './gateway.port.ts'
import { watchNode } from './node-metrics.ts'

/** Seconds: a token comes after a millisecond or after a second, a first one after up to minutes. */
const waitBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const tokenBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]

/** What the gateway and its node count, for Prometheus. It outlives the server: a restart forgets nothing. */
export class Meter {
  readonly registry = new Registry()
  readonly #requests = this.#counter(
    'requests_total',
    'Answers asked for through the gateway, by how they ended.',
    ['outcome', 'code'],
  )
  readonly #open = this.#gauge(
    'requests_open',
    'Answers asked for through the gateway that are not complete.',
  )
  readonly #tokens = this.#counter('tokens_total', 'Tokens of complete answers.', ['kind'])
  readonly #firstToken = this.#histogram(
    'time_to_first_token_seconds',
    'From the question to the first token.',
    waitBuckets,
  )
  readonly #perToken = this.#histogram(
    'time_per_output_token_seconds',
    'Between two tokens of one answer, on average.',
    tokenBuckets,
  )
  readonly #queued = this.#histogram(
    'queue_wait_seconds',
    "In a worker's queue, as the worker says.",
    waitBuckets,
  )
  readonly #served = this.#histogram(
    'served_queue_wait_seconds',
    "In this node's own queue, by the tier of the client.",
    waitBuckets,
    ['tier'],
  )
  readonly #handovers = this.#counter('handovers_total', 'Streams that went on at another worker.', ['code'])
  readonly #restarts = this.#counter(
    'actor_restarts_total',
    'Parts of the node that failed and were started again.',
    ['part'],
  )
  readonly #http = this.#counter('http_requests_total', 'HTTP requests.', ['route', 'method', 'status'])

  /** An answer was asked for: what becomes of it is counted. */
  asked(answer: Answer): void {
    this.#open.inc()
    answer.on('handover', ({ code }) => this.#handovers.inc({ code }))
    answer.result.then(
      (result) => this.#answered(result),
      (error: unknown) => this.#failed(error),
    )
  }

  /** Texts were to become vectors: what becomes of it is counted. */
  embedding(embeddings: Promise<Embeddings>): void {
    this.#open.inc()
    embeddings.then(
      ({ usage }) => {
        this.#open.dec()
        this.#requests.inc({ outcome: 'answered', code: 'embedding' })
        this.#tokens.inc({ kind: 'prompt' }, usage.promptTokens)
      },
      (error: unknown) => this.#failed(error),
    )
  }

  /** A part of the node was started again. */
  restarted(part: string): void {
    this.#restarts.inc({ part })
  }

  /** This node's worker gave a client's request a slot, after so long in the queue. */
  served(tier: string, queuedMs: number): void {
    this.#served.observe({ tier }, queuedMs / 1_000)
  }

  /** @param route the pattern, not the path: paths are without number */
  replied(route: string, method: string, status: number): void {
    this.#http.inc({ route, method, status: String(status) })
  }

  /** Reads the node's state whenever the metrics are. */
  watch(port: GatewayPort): void {
    watchNode(this.registry, port)
  }

  #answered({ usage, timings, finishReason }: AnswerResult): void {
    this.#open.dec()
    this.#requests.inc({ outcome: 'answered', code: finishReason })
    this.#tokens.inc({ kind: 'prompt' }, usage.promptTokens)
    this.#tokens.inc({ kind: 'cached' }, usage.cachedTokens)
    this.#tokens.inc({ kind: 'completion' }, usage.completionTokens)
    this.#firstToken.observe(timings.firstTokenMs / 1_000)
    this.#queued.observe(timings.queuedMs / 1_000)
    const gaps = usage.completionTokens - 1
    if (gaps > 0) this.#perToken.observe((timings.totalMs - timings.firstTokenMs) / 1_000 / gaps)
  }

  #failed(error: unknown): void {
    const { code } = toQMeshError(error)
    this.#open.dec()
    this.#requests.inc({ outcome: code === 'QM_CANCELLED' ? 'cancelled' : 'failed', code })
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `qmesh_${name}`, help, labelNames, registers: [this.registry] })
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `qmesh_${name}`, help, registers: [this.registry] })
  }

  #histogram(name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram {
    return new Histogram({ name: `qmesh_${name}`, help, buckets, labelNames, registers: [this.registry] })
  }
}
