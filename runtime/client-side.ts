import { Asker, type AskDefaults, type WorkerQuery } from '../actors/request/asker.ts'
import type { Failure, RequesterCommand } from '../machines/request/index.ts'
import { Embedder } from '../actors/request/embedder.ts'
import type { DealsPort } from '../actors/request/deals.port.ts'
import { Dispatcher } from '../actors/request/dispatcher.ts'
import { EffortDesk } from '../actors/request/effort-desk.ts'
import {
  explainKind,
  explainNoChoice,
  explainNoTools,
  isKind,
  standingTerms,
  WorkerDirectory,
  type KindNeeds,
  type Rejection,
  type ToolNeeds,
} from '../machines/selection/index.ts'
import { type Hello, limits, type PeerId, protocolVersion, type Status } from '../protocol/index.ts'
import type { RequestTracer } from '../actors/request/request-tracer.port.ts'
import type { Logger } from './logger.ts'
import { SilentWorkers } from './silent-workers.ts'
import { RequestTraces } from './why/request-traces.ts'
import { randomInt } from 'node:crypto'

export interface ClientSideOptions {
  readonly selfId: PeerId
  readonly now: () => number
  readonly logger: Logger
  /** The running requester actor, if it runs. */
  readonly requester: () => { send(command: RequesterCommand): void } | undefined
  /** Whether anybody can be reached. */
  readonly isOnline: () => boolean
  /** The known workers changed, in number or in what they say. */
  readonly onWorkers: () => void
  readonly defaults?: Partial<AskDefaults> | undefined
  /** What is promised and signed for; absent: nothing. */
  readonly deals?: DealsPort | undefined
  /** The topic of the inference network; absent: no work is done for workers that ask for some. */
  readonly network?: Uint8Array | undefined
  /** Whether this node's own tier spares it that work at a worker, as far as it knows. Absent: it never does. */
  readonly isEffortExempt?: ((workerId: PeerId) => boolean) | undefined
  /** Absent: nothing is traced. */
  readonly tracer?: RequestTracer | undefined
}

/** The half of a node that asks: who can be asked, whom to ask, and the requests that are open. */
export function createClientSide({
  selfId,
  now,
  logger,
  requester,
  isOnline,
  onWorkers,
  defaults,
  deals,
  network,
  isEffortExempt,
  tracer,
}: ClientSideOptions) {
  const directory = new WorkerDirectory()
  const traces = new RequestTraces({ now })
  /** Tokens of answers since the start. */
  const totals = { tokens: 0 }
  const dispatcher = new Dispatcher(now, deals)
  const effort =
    network &&
    new EffortDesk({
      clientId: selfId,
      network,
      isExempt: isEffortExempt,
      onInsisted: (workerId, bits) => directory.insisted(workerId, bits),
    })
  /** Workers that said they are draining. */
  const leaving = new Set<PeerId>()
  const changed = (): void => {
    onWorkers()
    requester()?.send({ type: 'workers.changed' })
  }
  const noteLeaving = (workerId: PeerId, { draining }: Status): void => {
    if (draining) leaving.add(workerId)
    else leaving.delete(workerId)
  }
  const silent = new SilentWorkers((workerId) => dispatcher.signsOf(workerId))
  type Choosing = Omit<WorkerQuery, 'affinityKey'> & Partial<Pick<WorkerQuery, 'affinityKey'>>
  const choose = ({ localOnly, exclude, isBehind, requestId: _, ...query }: Choosing) => {
    const known = localOnly || isBehind ? directory.list(now()).map(({ workerId }) => workerId) : []
    const excluded = new Set([
      ...exclude,
      ...silent.list(),
      ...known.filter((workerId) => isBehind || workerId !== selfId),
    ])
    return directory.choose({ ...query, exclude: excluded }, randomInt(2 ** 32), now())
  }
  type Meaning = KindNeeds & ToolNeeds & Pick<WorkerQuery, 'modelId' | 'modelHash'>
  const misfit = (needs: Meaning): Failure | undefined => {
    const model = directory.misfit(needs)
    if (!model) return undefined
    if (!isKind(model, needs)) return { code: 'QM_MODEL_KIND', message: explainKind(model, needs) }
    const known = directory.list(now()).flatMap(({ models }) => models)
    return { code: 'QM_TOOLS_UNSUPPORTED', message: explainNoTools(model.id, known) }
  }
  const asker = new Asker({
    dispatcher,
    requester,
    now,
    defaults,
    standing: {
      started: (workerId, atMs) => directory.started(workerId, atMs),
      firstToken: (workerId, seen, atMs) => directory.firstToken(workerId, seen, atMs),
      finished: (workerId, seen, atMs) => directory.finished(workerId, seen, atMs),
      failed: (workerId, code, atMs, retryAfterMs) => {
        if (code === 'QM_WORKER_LOST') silent.left(workerId, atMs)
        directory.failed(workerId, code, atMs, retryAfterMs)
      },
      cancelled: (workerId) => directory.cancelled(workerId),
    },
    choose: (query) => {
      const choice = choose(query)
      traces.chose(query, choice.trace)
      logger.debug({ requestId: query.requestId, workerId: choice.workerId }, 'worker chosen')
      return choice.workerId === null ? null : choice
    },
    effort,
    delivered: (requestId, tokens) => {
      totals.tokens += tokens
      traces.delivered(requestId, tokens)
      tracer?.delivered(requestId, tokens)
    },
    tracer,
    observe: (requestId, fact) => {
      traces.observe(requestId, fact)
      tracer?.observe(requestId, fact)
    },
    hasChoice: ({ affinityKey: _, exclude, ...query }) => {
      // One that failed again and again is no reason to leave a worker that may only be busy.
      const failing = directory
        .list(now())
        .filter(({ failuresInRow }) => failuresInRow >= standingTerms.failuresMax)
      const excluded = new Set([...exclude, ...failing.map(({ workerId }) => workerId)])
      return choose({ ...query, exclude: excluded }).workerId !== null
    },
    isLeaving: (workerId) => leaving.has(workerId),
    misfit,
    whyNobody: ({ affinityKey: _, ...query }) => {
      const unfit = misfit(query)
      if (unfit) return unfit
      const { trace, ...choice } = choose(query)
      if (choice.workerId !== null) {
        const message = `Every place at a worker that holds ${toWanted(query)} went to a request of this node that had waited longer.`
        return { code: 'QM_QUEUE_FULL', message }
      }
      const { code, barred } = explainNoChoice(trace)
      const wanted = toWanted(query)
      const counts = [...barred].map(([reason, workers]) => `${workers} ${inWords[reason] ?? reason}`)
      const message = query.localOnly
        ? `This node's own worker does not hold ${wanted} and take requests now.`
        : counts.length > 0
          ? `No worker that holds ${wanted} takes requests now (${counts.join(', ')}).`
          : `No worker was found that holds ${wanted}${isOnline() ? '' : ', and no node of the DHT answers: check the network and the bootstrap'}.`
      return { code, message, retryAfterMs: choice.retryAfterMs }
    },
  })
  return {
    asker,
    embedder: new Embedder((question) => asker.begin(question), now),
    directory,
    dispatcher,
    traces,
    totals,
    hello: (workerId: PeerId, { models, protocol }: Hello): void => {
      directory.hello(workerId, { models, protocol, local: false }, now())
      changed()
    },
    /** The node's own worker has models: it is a candidate like any other. */
    local: (status: Status): void => {
      const isKnown = directory.list(now()).some(({ workerId }) => workerId === selfId)
      if (status.models.length === 0) directory.remove(selfId, now())
      else if (!isKnown) {
        directory.hello(selfId, { models: status.models, protocol: protocolVersion, local: true }, now())
      }
      directory.status(selfId, status, now())
      noteLeaving(selfId, status)
      changed()
    },
    status: (workerId: PeerId, status: Status): void => {
      effort?.told(workerId, status.effort)
      // What this client is spared is nothing to choose by.
      directory.status(workerId, { ...status, effort: effort?.asked(workerId) }, now())
      noteLeaving(workerId, status)
      changed()
    },
    closed: (workerId: PeerId): void => {
      // A worker that was killed and came back: its old connection ends long after the new one began.
      if (dispatcher.isConnected(workerId)) return
      directory.remove(workerId, now())
      effort?.left(workerId)
      leaving.delete(workerId)
      changed()
    },
  }
}

/** Reasons whose names alone tell people too little. */
const inWords: Partial<Record<Rejection, string>> = {
  'at-limit': `with ${limits.requestsPerPeerMax} requests of this node, the most it takes of one`,
}

/** What was looked for, for people. */
function toWanted({
  modelId,
  embedding,
  tools,
}: Pick<WorkerQuery, 'modelId' | 'embedding' | 'tools'>): string {
  if (modelId !== undefined) return `the model "${modelId}"`
  if (embedding === undefined) return tools ? 'a model that can be offered functions' : 'a model'
  return embedding === 'any' ? 'a model for embeddings' : `a model for embeddings of ${embedding} numbers`
}

export type ClientSide = ReturnType<typeof createClientSide>
