import { fromBody, isAbort, toApiError } from '../../api/api-error.ts'
import { call } from '../../api/call.ts'
import { readEventStream, type ServerEvent } from '../../api/event-stream.ts'
import type { ChatChunk } from '../../api/types.ts'
import { addTurns, changeAnswer, isRunning, keep, toMessages, type AnswerTurn } from './conversation.ts'
import { settings, toParameters } from './settings.ts'
import { toNote } from './stream-notes.ts'

let running: AbortController | undefined

/** Stops the answer that is coming, wherever in the mesh it is made. */
export function stop(): void {
  running?.abort()
}

/** Asks the mesh. The answer grows in the conversation, whatever view is open meanwhile. */
export async function ask(text: string): Promise<void> {
  if (isRunning.value) return
  const id = `turn-${Date.now()}`
  const abort = new AbortController()
  running = abort
  const startedAt = performance.now()
  const change = (next: (turn: AnswerTurn) => Partial<AnswerTurn>): void => changeAnswer(id, next)
  addTurns([
    { role: 'user', id: `${id}-question`, text },
    { role: 'assistant', id, text: '', state: 'asking', marks: [] },
  ])
  try {
    const reply = await call('/v1/chat/completions', {
      method: 'POST',
      body: {
        ...toParameters(settings.value),
        messages: toMessages(),
        stream: true,
        stream_options: { include_usage: true },
      },
      signal: abort.signal,
    })
    const { headers, body } = reply
    change(() => ({
      requestId: headers.get('x-qmesh-request-id') ?? undefined,
      // The last of those that were asked.
      workerId: headers.get('x-qmesh-worker')?.split(', ').at(-1),
    }))
    if (body) {
      for await (const event of readEventStream(body)) take(event, startedAt, change)
    }
    change(() => ({ state: 'done', totalMs: performance.now() - startedAt }))
  } catch (error) {
    if (isAbort(error)) change(() => ({ state: 'stopped', place: undefined }))
    else {
      const { message, code, status, retryAfterMs, requestId } = toApiError(error)
      change((turn) => ({
        state: 'failed',
        place: undefined,
        requestId: turn.requestId ?? requestId,
        error: { message, code, status, retryAfterMs },
      }))
    }
  } finally {
    keep()
  }
}

/** @throws ApiError when the event says that the answer failed */
function take(
  { name, data }: ServerEvent,
  startedAt: number,
  change: (next: (turn: AnswerTurn) => Partial<AnswerTurn>) => void,
): void {
  if (name === 'comment') {
    const note = toNote(data)
    if (note?.type === 'place') change(() => ({ place: note }))
    else if (note?.type === 'worker') change(() => ({ workerId: note.workerId }))
    else if (note) {
      const { from, to, gapMs } = note
      change(({ text, marks }) => ({ workerId: to, marks: [...marks, { at: text.length, from, to, gapMs }] }))
    }
    return
  }
  if (data === '[DONE]') return
  const chunk = JSON.parse(data) as ChatChunk
  if (chunk.error) throw fromBody(chunk.error)
  const content = chunk.choices?.[0]?.delta.content ?? ''
  change((turn) => ({
    ...(chunk.usage && { tokens: chunk.usage.completion_tokens }),
    ...(content !== '' && {
      state: 'answering',
      place: undefined,
      text: turn.text + content,
      firstTokenMs: turn.firstTokenMs ?? performance.now() - startedAt,
    }),
    model: turn.model ?? chunk.model,
  }))
}
