import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { ToolCallDelta } from '../../machines/tools/index.ts'
import type { AnswerResult } from '../request/answer.ts'
import { toApiFailure, type ApiFailure } from './api-error.ts'
import type { AnswerSet } from './answer-set.ts'
import { readAnswers, type StreamEvent } from './answer-stream.ts'

/** How one API writes a stream; each text is a list of server-sent events, ready to be sent. */
export interface StreamFormat {
  begin(): string
  delta(index: number, text: string): string
  /** Parts of calls; an API without them is never asked for any. */
  calls?(index: number, deltas: readonly ToolCallDelta[]): string
  finish(index: number, result: AnswerResult): string
  /** After all answers. */
  end(results: readonly AnswerResult[]): string
  failed(failure: ApiFailure): string
}

/** One event. JSON text has no line breaks, so one line is enough. */
export const toEvent = (data: object, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`

/** What readers of events skip. */
export const toComment = (text: string): string => `: ${text.replaceAll(/[\r\n]+/g, ' ')}\n\n`

/**
 * Sends the answers as they come. The head of the reply waits for the first token, or for a place in a queue: until
 * then a failure is still answered by its status, and the worker can be named.
 *
 * @throws AnswerError when the call fails before anything was sent
 */
export async function sendStream(
  reply: FastifyReply,
  set: AnswerSet,
  createFormat: () => StreamFormat,
  heartbeatMs: number,
): Promise<FastifyReply> {
  const events = readAnswers(set, heartbeatMs)
  const first = await events.next()
  void reply
    .headers(set.headers)
    .header('cache-control', 'no-cache')
    // Proxies that collect an answer before they pass it on take it as a stream to be passed on at once.
    .header('x-accel-buffering', 'no')
    .type('text/event-stream; charset=utf-8')
  return reply.send(Readable.from(toEvents(first, events, set, createFormat()), { highWaterMark: 1 }))
}

async function* toEvents(
  first: IteratorResult<StreamEvent, void>,
  events: AsyncGenerator<StreamEvent, void>,
  set: AnswerSet,
  format: StreamFormat,
): AsyncGenerator<string, void> {
  const results: AnswerResult[] = []
  let isBegun = false
  try {
    for (let next = first; !next.done; next = await events.next()) {
      const event = next.value
      if (event.type === 'comment') {
        yield toComment(event.text)
        continue
      }
      if (!isBegun) yield format.begin()
      isBegun = true
      if (event.type === 'text') yield format.delta(event.index, event.text)
      else if (event.type === 'calls') yield format.calls?.(event.index, event.deltas) ?? ''
      else {
        results[event.index] = event.result
        yield format.finish(event.index, event.result)
      }
    }
    const workers = new Set(results.map(({ workerId }) => workerId))
    // The head is long gone: what it could not know stands in a comment.
    yield (
      toComment(`x-qmesh-worker ${[...workers].join(', ')}`) +
      toComment(`x-qmesh-handovers ${set.handovers}`) +
      format.end(results)
    )
  } catch (error) {
    yield format.failed(toApiFailure(error))
  } finally {
    await events.return()
  }
}
