import { fromCallback } from 'xstate'
import type { KindNeeds } from '../../machines/selection/index.ts'
import {
  createRequestId,
  type ChatMessage,
  type ModelHash,
  type ModelId,
  type PeerId,
  type RequestId,
} from '../../protocol/index.ts'
import {
  defaultStallPolicy,
  requesterMachine,
  requestMachine,
  requestShardMachine,
  type Choice,
  type Failure,
  type RequesterCommand,
  type RequestFact,
  type RequestInput,
  type StallPolicy,
} from '../../machines/request/index.ts'
import type { Answer } from './answer.ts'
import { toQuestion, type AskOptions, type Question } from './ask-options.ts'
import { createAttemptLogic, type AttemptPorts } from './attempt.adapter.ts'
import type { Dispatcher } from './dispatcher.ts'
import { RequestJob, type StandingPort } from './request-job.ts'
import type { RequestTracer } from './request-tracer.port.ts'
import { WaitingLines } from './waiting-lines.ts'

/** Which worker would do. */
export interface WorkerQuery extends KindNeeds {
  readonly modelId?: ModelId | undefined
  readonly modelHash?: ModelHash | undefined
  /** Tokens of prompt and answer together, where they are known. */
  readonly contextTokens?: number | undefined
  /** Only a model that can be offered functions. */
  readonly tools?: boolean | undefined
  readonly localOnly: boolean
  /** Workers this request has tried. */
  readonly exclude: ReadonlySet<PeerId>
  /** Another request that wants the same waits for longer: nobody is to be chosen for this one yet. */
  readonly isBehind?: boolean | undefined
  /** Same for every turn of one conversation; undefined where there is none. */
  readonly affinityKey: string | undefined
  /** For the trace. */
  readonly requestId: RequestId
}

export interface AskerPorts {
  readonly dispatcher: Dispatcher
  readonly standing: StandingPort
  /** Chooses among the workers known now. Null when none would do. */
  readonly choose: (query: WorkerQuery) => Choice | null
  /** Whether `choose` would find a worker. */
  readonly hasChoice: (query: WorkerQuery) => boolean
  /** Whether a worker said that it is draining. */
  readonly isLeaving: (workerId: PeerId) => boolean
  /** Hears every fact of every request, for who wants to explain them later. Must not throw. */
  readonly observe?: ((requestId: RequestId, fact: RequestFact) => void) | undefined
  readonly delivered?: AttemptPorts['delivered']
  /** Absent: nothing is traced. It hears of the facts by `observe`, and of tokens by `delivered`. */
  readonly tracer?: Pick<RequestTracer, 'asked' | 'asking' | 'ended'> | undefined
  readonly effort?: AttemptPorts['effort']
  /** Why no worker known now would ever do, whatever else it does; undefined where one may, or may come. */
  readonly misfit: (query: WorkerQuery) => Failure | undefined
  /** Why `choose` finds nobody. */
  readonly whyNobody: (query: WorkerQuery) => Failure
  /** The running requester actor; undefined while it is being restarted and once the node has stopped. */
  readonly requester: () => { send(command: RequesterCommand): void } | undefined
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number
  readonly defaults?: Partial<AskDefaults> | undefined
}

export interface AskDefaults {
  /** Workers tried before giving up. */
  readonly attemptsMax: number
  /** Milliseconds to wait for a worker: a mesh takes some seconds to join, a lost model some to be loaded again. */
  readonly discoverMs: number
  readonly stall: StallPolicy
}

const askDefaults: AskDefaults = { attemptsMax: 5, discoverMs: 15_000, stall: defaultStallPolicy }

/**
 * Where questions enter. It owns the open jobs: the requester's actors decide, the dispatcher carries, and here both meet
 * the answer that the user holds.
 */
export class Asker {
  readonly #ports: AskerPorts
  readonly #jobs = new Map<RequestId, RequestJob>()
  readonly #waiting = new WaitingLines()

  constructor(ports: AskerPorts) {
    this.#ports = ports
  }

  /** Questions that are not answered yet. */
  get open(): number {
    return this.#jobs.size
  }

  /** The requester's machine with the world in it, to be started, and restarted, by a supervisor. */
  createRequester() {
    const attempt = createAttemptLogic({ ...this.#ports, jobs: this.#jobs })
    const request = requestMachine.provide({ actors: { attempt } })
    const shard = requestShardMachine.provide({ actors: { request } })
    // However the requester ends, by order or by a crash: whoever waits for an answer hears of it.
    const lifeline = fromCallback(() => () => this.#failAll())
    return requesterMachine.provide({ actors: { shard, lifeline } })
  }

  /**
   * Starts a request. Listeners attached to the answer before the next turn of the event loop miss nothing.
   *
   * @throws QMeshError `QM_REQUEST_INVALID`, naming the option; every other failure is the answer's.
   */
  ask(input: string | readonly ChatMessage[], options: AskOptions = {}): Answer {
    return this.begin(toQuestion(createRequestId(), input, options))
  }

  /** Starts a request that was checked. Its failures are the answer's. */
  begin(question: Question): Answer {
    const { requestId } = question
    const { signal, traceparent } = question.options
    const { tracer } = this.#ports
    const cancel = (cause?: unknown): void => this.#cancel(job, cause)
    const onAbort = (): void => cancel(signal?.reason)
    const job = new RequestJob(question, {
      standing: this.#ports.standing,
      now: this.#ports.now,
      ended: (code) => {
        tracer?.ended(requestId, code)
        this.#jobs.delete(requestId)
        this.#waiting.leave(requestId)
        signal?.removeEventListener('abort', onAbort)
        // A worker has one request of ours less: that is a place for whoever waits. Not before the machine has tidied up: the
        // worker must hear of a cancel before it is sent one more.
        if (!this.#waiting.isEmpty) queueMicrotask(() => this.#wake())
      },
      cancel,
    })
    this.#jobs.set(requestId, job)
    tracer?.asked({ requestId, modelId: question.modelId, traceparent })
    signal?.addEventListener('abort', onAbort, { once: true })
    queueMicrotask(() => {
      if (signal?.aborted) cancel(signal.reason)
      if (!job.isSettled) this.#start(job)
    })
    return job.answer
  }

  #wake(): void {
    this.#ports.requester()?.send({ type: 'workers.changed' })
  }

  #start(job: RequestJob): void {
    const misfit = this.#ports.misfit(this.#toQuery(job, new Set()))
    if (misfit) return job.fail(misfit)
    const requester = this.#ports.requester()
    if (requester) requester.send({ type: 'request.open', request: this.#toInput(job) })
    else job.fail({ code: 'QM_NODE_STOPPED', message: 'The client side of this node is not running.' })
  }

  #toQuery(job: RequestJob, exclude: ReadonlySet<PeerId>): WorkerQuery {
    const { requestId, options, modelId, modelHash, embedding, affinityKey, needsTools } = job.question
    return {
      modelId,
      modelHash,
      embedding,
      ...(needsTools && { tools: true }),
      ...job.resumeNeeds,
      localOnly: options.localOnly ?? false,
      exclude,
      affinityKey,
      requestId,
    }
  }

  #toInput(job: RequestJob): RequestInput {
    const { requestId, options, promptTokens } = job.question
    const defaults = { ...askDefaults, ...this.#ports.defaults }
    const { dispatcher, isLeaving, now } = this.#ports
    const toQuery = (exclude: ReadonlySet<PeerId>): WorkerQuery => this.#toQuery(job, exclude)
    // A prompt has at least one token, and what was too small is too small again.
    const toRoomyQuery = (exclude: ReadonlySet<PeerId>, smallContext: number): WorkerQuery => {
      const query = toQuery(exclude)
      const contextTokens = Math.max(query.contextTokens ?? 0, smallContext + 1, (options.maxTokens ?? 0) + 1)
      return { ...query, contextTokens }
    }
    // Who advertises too little is asked where nobody else is: it refuses at once, and says why.
    const chooseAmong = (exclude: ReadonlySet<PeerId>, smallContext: number): Choice | null => {
      const roomy = toRoomyQuery(exclude, smallContext)
      return this.#ports.choose(this.#ports.hasChoice(roomy) ? roomy : toQuery(exclude))
    }
    const wanted = toWanted(job.question)
    const choose: RequestInput['choose'] = (exclude, smallContext) => {
      // Who may not go to everybody could stand first and let a worker go by that others wait for.
      const standsInLine = exclude.size === 0 && job.resumeNeeds === undefined
      const isBehind = standsInLine && this.#waiting.isBehind(requestId, wanted)
      const choice = isBehind
        ? this.#ports.choose({ ...toQuery(exclude), isBehind })
        : chooseAmong(exclude, smallContext)
      if (choice !== null) this.#waiting.served(requestId)
      else if (standsInLine) this.#waiting.join(requestId, wanted)
      else this.#waiting.leave(requestId)
      return choice
    }
    return {
      requestId,
      promptTokens,
      choose,
      hasElsewhere: (exclude, smallContext) =>
        this.#ports.hasChoice(toRoomyQuery(exclude, smallContext)) && job.isMovable,
      watch: { signsOf: (workerId) => dispatcher.signsOf(workerId), isLeaving, now },
      whyNobody: () => this.#ports.whyNobody(toQuery(new Set())),
      isNearer: () => this.#waiting.isNearer(requestId),
      report: (fact) => {
        // First whoever keeps the story: the job tells the reader that it is over.
        this.#ports.observe?.(requestId, fact)
        job.report(fact)
      },
      now,
      attemptsMax: options.attemptsMax ?? defaults.attemptsMax,
      discoverMs: options.discoverMs ?? defaults.discoverMs,
      deadlineMs: options.deadlineMs ?? null,
      stall: defaults.stall,
    }
  }

  #cancel(job: RequestJob, cause: unknown): void {
    if (job.isSettled) return
    const { requestId } = job.question
    // The reader is answered first, and the machine tidies up: a cancel that races an answer has one outcome, this one.
    job.fail({ code: 'QM_CANCELLED' }, cause)
    this.#ports.requester()?.send({ type: 'request.cancel', requestId })
  }

  #failAll(): void {
    for (const job of this.#jobs.values()) job.fail({ code: 'QM_NODE_STOPPED' })
  }
}

/** Whatever worker would do for one question does for another with the same of these. */
const toWanted = ({ options, modelId, modelHash, embedding, needsTools }: Question): string =>
  JSON.stringify([modelId, modelHash, embedding, needsTools, options.localOnly ?? false])
