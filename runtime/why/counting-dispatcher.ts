import { Dispatcher, type AttemptListener, type OpenPrompt } from '../../actors/request/dispatcher.ts'
import type { PeerId, Prompt, RequestId } from '../../protocol/index.ts'

/** A dispatcher that says how many tokens pass it: no actor sees them, and whoever explains a request wants to know. */
export class CountingDispatcher extends Dispatcher {
  readonly #delivered: (requestId: RequestId, tokens: number) => void

  constructor(now: () => number, delivered: (requestId: RequestId, tokens: number) => void) {
    super(now)
    this.#delivered = delivered
  }

  override open(workerId: PeerId, prompt: Prompt, listener: AttemptListener): OpenPrompt | null {
    return super.open(workerId, prompt, {
      ...listener,
      tokens: (tokens, text) => {
        this.#delivered(prompt.requestId, tokens.length)
        listener.tokens(tokens, text)
      },
    })
  }
}
