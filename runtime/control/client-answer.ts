import { AnswerEmitter } from '../../actors/request/answer-events.ts'
import type { AnswerChunk } from '../../actors/request/answer-log.ts'
import { AnswerError, type AnswerAttempt, type AnswerResult } from '../../actors/request/answer.ts'
import { QMeshError, type RequestId } from '../../protocol/index.ts'
import { parseResult, type Replies } from './request.ts'
import { answerEventNames, answerEventSchemas, askedNotice, askedSchema } from './commands/ask.ts'
import type { Notice } from './messages.ts'
import type { ControlAnswer } from './control.port.ts'

/** An answer that comes over the control socket. It is read once: by iterating, or by waiting for its result. */
export function createControlAnswer(
  open: (signal: AbortSignal) => Replies,
  signal?: AbortSignal,
): ControlAnswer {
  const events = new AnswerEmitter()
  const stop = new AbortController()
  const anySignal = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const { promise, resolve, reject } = withResolvers<AnswerResult>()
  // Whoever only iterates sees the same failure there.
  promise.catch(() => undefined)
  // Also for whoever waits for the result while nobody is reading any more.
  anySignal.addEventListener('abort', () => reject(new QMeshError('QM_CANCELLED')), { once: true })
  let isStarted = false
  let requestId: RequestId | undefined
  const attempts: AnswerAttempt[] = []
  events.on('attemptFailed', (attempt) => attempts.push(attempt))

  async function* read(): AsyncGenerator<AnswerChunk, void, undefined> {
    if (isStarted) throw new QMeshError('QM_REQUEST_INVALID', 'an answer can be read only once')
    isStarted = true
    let text = ''
    let result: AnswerResult | undefined
    try {
      for await (const reply of open(anySignal)) {
        if (reply.type === 'chunk') {
          text += reply.text
          yield reply
        } else if (reply.type === 'notice' && reply.name === askedNotice) {
          requestId = askedSchema.safeParse(reply.value).data?.requestId
        } else if (reply.type === 'notice') notify(events, reply)
        else if (reply.type === 'result') result = { ...parseResult('ask', reply.value), text }
      }
      if (!result) throw new QMeshError('QM_NODE_STOPPED', 'the node stopped before the answer was complete')
      resolve(result)
    } catch (error) {
      const failure =
        requestId === undefined ? error : toAnswerError(error, { requestId, partial: text, attempts })
      reject(failure)
      throw failure
    } finally {
      reject(new QMeshError('QM_CANCELLED'))
    }
  }

  const drain = async (): Promise<void> => {
    const chunks = read()
    while (!(await chunks.next()).done);
  }

  return {
    [Symbol.asyncIterator]: read,
    get requestId() {
      return requestId
    },
    get result() {
      if (!isStarted) drain().catch(() => undefined)
      return promise
    },
    on: (event, listener) => events.on(event, listener),
    cancel: () => stop.abort(),
  }
}

/** An answer fails the same way whether its node is in this process or another. */
function toAnswerError(error: unknown, context: ConstructorParameters<typeof AnswerError>[2]): unknown {
  if (!(error instanceof QMeshError)) return error
  const { code, message, retryAfterMs } = error
  return new AnswerError(code, message, context, {
    cause: error,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

/** A notice of a later version, or one that makes no sense, is nobody's problem. */
function notify(events: AnswerEmitter, { name, value }: Notice): void {
  const known = answerEventNames.find((event) => event === name)
  if (!known) return
  const parsed = answerEventSchemas[known].safeParse(value)
  if (parsed.success) events.emit(known, parsed.data)
}

/** `Promise.withResolvers` of later Node versions. */
function withResolvers<Value>() {
  let resolve: (value: Value) => void = () => undefined
  let reject: (reason: unknown) => void = () => undefined
  const promise = new Promise<Value>((onValue, onReason) => {
    resolve = onValue
    reject = onReason
  })
  return { promise, resolve, reject }
}
