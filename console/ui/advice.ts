import type { ApiError } from '../api/api-error.ts'
import { toDuration } from './format.ts'

const advice: Readonly<Record<string, string>> = {
  unreachable: 'Is it still running? Start it with "qmesh-node up"; this page goes on by itself.',
  no_workers:
    'Nobody who could answer is reachable. Wait for a worker to join, or serve a model yourself: "qmesh-node up --model …".',
  context_length_exceeded:
    'The conversation is too long for this model. Start a new chat, ask for fewer tokens, or choose a model with more room.',
  model_not_found: 'Choose another model; the Models view lists what the mesh serves now.',
  queue_full: 'All workers have as much as they can take.',
  overloaded: 'The workers are busy with other things; their owners come first.',
  rate_limit_exceeded: 'Your tier allows no more for now. Serving others raises it.',
  too_many_open_requests: 'Let some of the open answers finish, or stop them.',
  attempts_exhausted: 'Several workers were tried. The trace of the request says why each refused.',
  worker_lost: 'Its worker went away, and no other could go on. What came so far is kept; ask again.',
  source_failed: 'Is this machine connected to the internet? A peer that has the model will do as well.',
  model_busy: 'Somebody works on that model now, perhaps another page.',
  node_stopping: 'The node is stopping.',
  account_banned: 'This account broke the rules of the mesh; the Scores view says which.',
  host_not_allowed: 'Open the page by the address that "qmesh-node status" shows.',
}

/** What a person can do about a failure; undefined where the message says it all. */
export function adviceFor({ code, retryAfterMs, status }: ApiError): string | undefined {
  const known = advice[code]
  const wait =
    retryAfterMs !== undefined && (status === 429 || status === 503)
      ? `Try again in ${toDuration(retryAfterMs)}.`
      : undefined
  return known === undefined && wait === undefined ? undefined : [known, wait].filter(Boolean).join(' ')
}
