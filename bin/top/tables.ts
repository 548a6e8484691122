import type { RequestSummary, WorkerSummary } from '../../runtime/index.ts'
import { modelCell, tokensCell } from '../request-cells.ts'
import { short } from '../stream-answer.ts'
import type { Look } from './look.ts'

const none = '–'
const ms = (value: number | undefined): string => (value === undefined ? none : `${Math.round(value)} ms`)
const rate = (value: number | undefined): string => (value === undefined ? none : value.toFixed(1))

/** This machine first, then who takes requests, the fastest of them, and at the end who is not asked now. */
const byUse = (a: WorkerSummary, b: WorkerSummary): number =>
  Number(b.isLocal) - Number(a.isLocal) ||
  Number(isAsked(b)) - Number(isAsked(a)) ||
  // Rounded: whoever is about as fast stays where it is.
  Math.round(b.tokensPerSecond ?? 0) - Math.round(a.tokensPerSecond ?? 0) ||
  (a.workerId < b.workerId ? -1 : 1)

const isAsked = ({ accepting, barred }: WorkerSummary): boolean => accepting && barred === undefined

/** The workers that the node knows; the first row has the names of the columns. */
export function workerRows({ workers }: Look): string[][] {
  return [
    ['WORKER', 'TIER', 'STATE', 'QUEUE', 'SLOTS', 'FIRST TOKEN', 'TOKENS/S', 'OURS', 'MODELS', ''],
    ...workers
      .toSorted(byUse)
      .map((worker) => [
        worker.isLocal ? 'this machine' : short(worker.workerId),
        worker.tier ?? none,
        `${worker.state} (${Math.round(worker.healthScore)})`,
        `${worker.queueLength}/${worker.queueCapacity}`,
        `${worker.slotsBusy}/${worker.slots}`,
        ms(worker.firstTokenMs),
        rate(worker.tokensPerSecond),
        String(worker.inFlight),
        worker.models.map(({ id, state }) => (state === 'loadable' ? `(${id})` : id)).join(' ') || none,
        worker.barred ? `not asked: ${worker.barred}` : worker.accepting ? '' : 'refusing',
      ]),
  ]
}

/** What the node asks and asked, what is open first. */
export function requestRows(look: Look): string[][] {
  const isOpen = ({ state }: RequestSummary): boolean => state === 'open'
  const { requests } = look
  return [
    ['REQUEST', 'STATE', 'TOKENS', 'TOKENS/S', 'TOOK', 'HANDOVERS', 'WORKER', 'MODEL'],
    ...[...requests.filter(isOpen), ...requests.filter((request) => !isOpen(request))].map((request) => [
      short(request.requestId),
      request.code ?? request.state,
      tokensCell(request),
      rate(toSpeed(request, look)),
      ms(request.totalMs ?? Math.max(0, Date.parse(look.at) - Date.parse(request.askedAt))),
      String(request.handovers),
      toWorker(request, look),
      modelCell(request),
    ]),
  ]
}

function toSpeed(request: RequestSummary, look: Look): number | undefined {
  const { requestId, state, tokens, totalMs, embedding } = request
  if (embedding) return undefined
  if (state === 'open') return look.rates?.requests.get(requestId)
  return totalMs === undefined || totalMs === 0 ? undefined : tokens / (totalMs / 1_000)
}

function toWorker({ workerId }: RequestSummary, { status }: Look): string {
  if (workerId === undefined) return none
  return workerId === status.id ? 'this machine' : short(workerId)
}
