import type { Socket } from 'node:net'
import { encodeFrame, QMeshError } from '../../protocol/index.ts'
import type { Reply } from './messages.ts'

/**
 * What goes to one client, in order. A slow reader slows its own answer; one that takes nothing for too long is given up,
 * because it would hold its connection, and a worker's slot, for ever.
 */
export class ReplyWriter {
  readonly #socket: Socket
  readonly #timeoutMs: number
  readonly #onGivenUp: (reason: QMeshError) => void
  /** While the socket holds more than it should; one for all that wait. */
  #drained: Promise<void> | undefined
  #givenUp: QMeshError | undefined

  /** @param timeoutMs milliseconds that what was written may lie unread, and that the connection may outlive its end */
  constructor(socket: Socket, timeoutMs: number, onGivenUp: (reason: QMeshError) => void) {
    this.#socket = socket
    this.#timeoutMs = timeoutMs
    this.#onGivenUp = onGivenUp
  }

  /** Why the reader was given up; undefined while it was not. */
  get givenUp(): QMeshError | undefined {
    return this.#givenUp
  }

  /**
   * Resolves when the other end has taken most of what was sent.
   *
   * @throws QMeshError `QM_CANCELLED` when it went away or `end` was called, `QM_READER_TOO_SLOW`
   */
  async write(reply: Reply): Promise<void> {
    if (this.#givenUp) throw this.#givenUp
    // A notice that comes after the last word is lost, and must not cut that off.
    if (this.#socket.destroyed || this.#socket.writableEnded) throw new QMeshError('QM_CANCELLED')
    if (this.#socket.write(encodeFrame(reply))) return
    this.#drained ??= this.#untilDrained()
    await this.#drained
  }

  /** Says the last word and ends the connection. Whoever does not read it in time misses it. */
  end(last?: Reply): void {
    const socket = this.#socket
    if (socket.destroyed) return
    if (last) socket.write(encodeFrame(last))
    socket.end()
    const timer = setTimeout(() => socket.destroy(), this.#timeoutMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }

  async #untilDrained(): Promise<void> {
    const socket = this.#socket
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(this.#giveUp()), this.#timeoutMs)
        const onDrain = (): void => settle(resolve)
        const onClose = (): void => settle(() => reject(new QMeshError('QM_CANCELLED')))
        const settle = (finish: () => void): void => {
          clearTimeout(timer)
          socket.off('drain', onDrain)
          socket.off('close', onClose)
          finish()
        }
        socket.once('drain', onDrain)
        socket.once('close', onClose)
      })
    } finally {
      this.#drained = undefined
    }
  }

  #giveUp(): QMeshError {
    const seconds = this.#timeoutMs / 1_000
    const reason = new QMeshError(
      'QM_READER_TOO_SLOW',
      `nothing of the answer was read for ${seconds} s, so it was cancelled`,
    )
    this.#givenUp = reason
    this.#onGivenUp(reason)
    return reason
  }
}
