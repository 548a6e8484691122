import type { LlamaContextSequence, Token } from 'node-llama-cpp'

/** A sequence taken for one generation. */
export interface Lease {
  readonly sequence: LlamaContextSequence
  /** Tokens of the prompt that are already in its cache, after it was cut back to them. */
  readonly cachedTokens: number
  release(): void
}

/**
 * The slots of a host. What a sequence holds from its last request stays, and the next request gets the free sequence
 * whose cache shares the longest beginning with its prompt: a conversation that goes on is not read again.
 */
export class SequencePool {
  readonly #free: LlamaContextSequence[]

  /** @param sequences all of them; the pool owns them from here on. */
  constructor(sequences: readonly LlamaContextSequence[]) {
    this.#free = [...sequences]
  }

  get freeCount(): number {
    return this.#free.length
  }

  /** Takes the best free sequence, or undefined when all are busy. */
  async take(prompt: readonly Token[]): Promise<Lease | undefined> {
    const sequence = this.#takeBest(prompt)
    if (!sequence) return undefined
    const release = (): void => {
      this.#free.push(sequence)
    }
    try {
      // The last token is always evaluated again: its logits are what the first new token is drawn from. Shifting is
      // off, because shifted cells are not what a fresh prefill would give.
      await sequence.adaptStateToTokens(prompt.slice(0, -1), false)
      return { sequence, cachedTokens: sequence.nextTokenIndex, release }
    } catch (error) {
      release()
      throw error
    }
  }

  #takeBest(prompt: readonly Token[]): LlamaContextSequence | undefined {
    const shared = this.#free.map(({ contextTokens }) => sharedBeginning(contextTokens, prompt))
    // With nothing in common, the sequence released first goes first: its cache is the least likely to be wanted.
    const best = shared.indexOf(Math.max(...shared))
    return best === -1 ? undefined : this.#free.splice(best, 1)[0]
  }
}

function sharedBeginning(cached: readonly Token[], prompt: readonly Token[]): number {
  const max = Math.min(cached.length, prompt.length)
  let shared = 0
  while (shared < max && cached[shared] === prompt[shared]) shared++
  return shared
}
