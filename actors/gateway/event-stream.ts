import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { toComment } from './sse.ts'

export interface EventSource {
  /** What there is to tell now, as server-sent events; empty when there is nothing. */
  take(): string
  /** The reader has left, or heard everything. */
  closed?(): void
}

/**
 * Server-sent events that are made when the reader wants them: what happens while one is slow is told together, so
 * nothing piles up for it.
 */
export class EventStream extends Readable {
  readonly #source: EventSource
  readonly #heart: NodeJS.Timeout
  #isWanted = false
  #isEnding = false

  /** @param heartbeatMs of silence after which a comment says that the stream lives */
  constructor(source: EventSource, heartbeatMs: number) {
    super({ encoding: 'utf8' })
    this.#source = source
    this.#heart = setInterval(() => this.#say(toComment('still here')), heartbeatMs).unref()
  }

  /** Something may be there to tell. */
  wake(): void {
    this.#say(this.#isWanted && !this.#isEnding ? this.#source.take() : '')
  }

  /** Tells what is left, and ends. */
  finish(): void {
    if (this.#isEnding || this.destroyed) return
    const rest = this.#source.take()
    this.#isEnding = true
    if (rest !== '') this.push(rest)
    this.push(null)
  }

  override _read(): void {
    this.#isWanted = true
    this.wake()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#heart)
    this.#source.closed?.()
    done(error)
  }

  #say(text: string): void {
    if (text === '' || !this.#isWanted || this.#isEnding || this.destroyed) return
    this.#isWanted = false
    this.#heart.refresh()
    this.push(text)
  }
}

/** Sends it, and closes it when the reader goes away. */
export function sendEvents(reply: FastifyReply, stream: Readable): FastifyReply {
  const close = (): void => void stream.destroy()
  reply.raw.once('close', close)
  if (reply.raw.destroyed) close()
  return reply
    .header('cache-control', 'no-cache')
    .header('x-accel-buffering', 'no')
    .type('text/event-stream; charset=utf-8')
    .send(stream)
}
