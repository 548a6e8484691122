import type { MessagePort } from 'node:worker_threads'
import type { FromThread, LaneChunk } from '../thread-messages.ts'

/** Milliseconds a token may wait for company: a little under the promised 10, for the timer's own lateness. */
const companyMs = 8

interface Pending {
  readonly tokens: number[]
  text: string
}

/**
 * Collects tokens of all lanes and posts them together. The first token of an answer leaves at once; later ones wait
 * for company only when company is likely, that is when the lane's last two tokens came closer together than the wait.
 */
export class Outbox {
  readonly #port: MessagePort
  readonly #pending = new Map<number, Pending>()
  readonly #lastAtMs = new Map<number, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(port: MessagePort) {
    this.#port = port
  }

  add(lane: number, token: number, text: string, nowMs: number): void {
    const lastAtMs = this.#lastAtMs.get(lane)
    this.#lastAtMs.set(lane, nowMs)
    const pending = this.#pending.get(lane)
    if (pending) {
      pending.tokens.push(token)
      pending.text += text
    } else this.#pending.set(lane, { tokens: [token], text })
    if (lastAtMs === undefined || nowMs - lastAtMs >= companyMs) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), companyMs)
  }

  /** The last text of a lane, which comes with no token, and its end: nothing of the lane is sent after it. */
  end(lane: number, text: string, message: FromThread): void {
    if (text !== '') {
      const pending = this.#pending.get(lane)
      if (pending) pending.text += text
      else this.#pending.set(lane, { tokens: [], text })
    }
    this.#lastAtMs.delete(lane)
    this.flush()
    this.#port.postMessage(message, [])
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#pending.size === 0) return
    const chunks: LaneChunk[] = Array.from(this.#pending, ([lane, { tokens, text }]) => ({
      lane,
      tokens,
      text,
    }))
    this.#pending.clear()
    this.#port.postMessage({ type: 'chunks', chunks } satisfies FromThread, [])
  }
}
