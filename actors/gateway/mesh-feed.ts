import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import { ApiError } from './api-error.ts'
import { EventStream } from './event-stream.ts'
import type { GatewayPort } from './gateway.port.ts'
import type { GatewayLimits } from './settings.ts'

/** Milliseconds between two looks at what changed; nobody looks while nobody watches. */
const lookMs = 500
/** Readers at the same time; a browser opens one a page. */
const watchersMax = 64

/** Things by their id, each as JSON. */
type Entries = ReadonlyMap<string, string>

/** What is told of the node, by the name of the event. */
type Picture = Readonly<Record<'status' | 'workers' | 'requests', Entries>>

const nothing: Picture = { status: new Map(), workers: new Map(), requests: new Map() }

interface MeshFeedOptions {
  readonly port: GatewayPort
  readonly limits: Pick<GatewayLimits, 'heartbeatMs'>
  readonly isDraining: () => boolean
}

/**
 * What the node knows of its mesh, told to whoever watches as it changes: first all of it, then what is new. However many
 * watch, it is looked at once; one who reads slowly hears of several changes together.
 */
export class MeshFeed {
  readonly #options: MeshFeedOptions
  readonly #streams = new Set<EventStream>()
  #timer: NodeJS.Timeout | undefined
  #picture = nothing

  constructor(options: MeshFeedOptions) {
    this.#options = options
  }

  /** Readers now. */
  get watchers(): number {
    return this.#streams.size
  }

  /** @throws QMeshError `QM_NODE_STOPPED`; ApiError 429 when as many watch as may */
  watch(): EventStream {
    if (this.#options.isDraining()) throw new QMeshError('QM_NODE_STOPPED')
    if (this.#streams.size >= watchersMax) {
      throw new ApiError(`${watchersMax} readers watch already; close one.`, {
        status: 429,
        type: 'rate_limit_error',
        code: 'too_many_watchers',
        retryAfterMs: 5_000,
      })
    }
    // Before anything else: a node that is not up yet is looked at in vain.
    if (this.#timer === undefined) {
      this.#picture = toPicture(this.#options.port)
      this.#timer = setInterval(() => this.#look(), lookMs).unref()
    }
    let told = nothing
    const stream = new EventStream(
      {
        take: () => {
          const [before, now] = [told, this.#picture]
          told = now
          return before === now ? '' : toNews(before, now)
        },
        closed: () => this.#left(stream),
      },
      this.#options.limits.heartbeatMs,
    )
    this.#streams.add(stream)
    return stream
  }

  #look(): void {
    if (this.#options.isDraining()) {
      for (const stream of this.#streams) stream.finish()
      return
    }
    try {
      this.#picture = toPicture(this.#options.port, this.#picture)
    } catch (error) {
      // Thrown in a timer it would end the process; whoever watches anew hears of it.
      for (const stream of this.#streams) stream.destroy(toQMeshError(error))
      return
    }
    for (const stream of this.#streams) stream.wake()
  }

  #left(stream: EventStream): void {
    this.#streams.delete(stream)
    if (this.#streams.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#picture = nothing
  }
}

/** @param before is kept where nothing changed: most looks find nothing new */
function toPicture(port: GatewayPort, before: Picture = nothing): Picture {
  const status = port.status()
  const picture = {
    // Time passes, and what is counted grows, whatever happens: that alone is no news.
    status: keep(before.status, [
      ['node', JSON.stringify({ ...status, uptimeMs: undefined, totals: undefined })],
    ]),
    workers: keep(
      before.workers,
      port.workers().map((worker) => [worker.workerId, JSON.stringify(worker)]),
    ),
    requests: keep(
      before.requests,
      port.requests().map((request) => [request.requestId, JSON.stringify(request)]),
    ),
  }
  const isSame = names.every((name) => picture[name] === before[name])
  return isSame ? before : picture
}

const names = ['status', 'workers', 'requests'] as const

function keep(before: Entries, entries: readonly (readonly [string, string])[]): Entries {
  const isSame = entries.length === before.size && entries.every(([id, json]) => before.get(id) === json)
  return isSame ? before : new Map(entries)
}

function toNews(before: Picture, now: Picture): string {
  return names
    .filter((name) => before[name] !== now[name] || before === nothing)
    .map((name) => {
      const [old, entries] = [before[name], now[name]]
      const changed = [...entries].flatMap(([id, json]) => (old.get(id) === json ? [] : [json]))
      const gone = [...old.keys()].filter((id) => !entries.has(id))
      return `event: ${name}\ndata: {"changed":[${changed.join(',')}],"gone":${JSON.stringify(gone)}}\n\n`
    })
    .join('')
}
