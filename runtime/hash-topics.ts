import { inferenceNetwork, type ModelHash, toTopic } from '../protocol/index.ts'

export interface HashTopicsOptions {
  readonly secret?: string | undefined
  /** Looks for peers under a topic, and is found under it if it holds the model. @returns ends it */
  readonly join: (topic: Buffer, options: { readonly isFound: boolean }) => () => void
}

/** Milliseconds that a topic is looked under after the last question. */
const seekMs = 60_000
/** Topics of questions at the same time; each costs lookups in the DHT. */
const seekMax = 16

/**
 * Beside its id, which anybody may give to another file, a model has a topic of its own content: the mesh may be too
 * large to be connected with everybody in it, and whoever asks for a model by its hash still meets those who hold it.
 */
export class HashTopics {
  readonly #options: HashTopicsOptions
  readonly #held = new Map<ModelHash, () => void>()
  readonly #sought = new Map<ModelHash, { readonly leave: () => void; readonly timer: NodeJS.Timeout }>()
  #isClosed = false

  constructor(options: HashTopicsOptions) {
    this.#options = options
  }

  /** The node serves exactly these, loaded or loadable. */
  announce(hashes: readonly ModelHash[]): void {
    const held = new Set(this.#isClosed ? [] : hashes)
    for (const [hash, leave] of this.#held) {
      if (held.has(hash)) continue
      this.#held.delete(hash)
      leave()
    }
    for (const hash of held) {
      if (this.#held.has(hash)) continue
      this.#unseek(hash)
      this.#held.set(hash, this.#join(hash, true))
    }
  }

  /** Somebody here asks for it. Who only looks is not found there: the mesh is to find those who hold it. */
  seek(hash: ModelHash): void {
    if (this.#isClosed || this.#held.has(hash)) return
    const before = this.#sought.get(hash)
    if (before) {
      before.timer.refresh()
      return
    }
    const [oldest] = this.#sought.keys()
    if (this.#sought.size >= seekMax && oldest !== undefined) this.#unseek(oldest)
    const timer = setTimeout(() => this.#unseek(hash), seekMs)
    timer.unref()
    this.#sought.set(hash, { leave: this.#join(hash, false), timer })
  }

  /** Leaves all of them, for good: a node that stops still says for a while what it serves. */
  close(): void {
    this.#isClosed = true
    this.announce([])
    for (const hash of this.#sought.keys()) this.#unseek(hash)
  }

  #join(hash: ModelHash, isFound: boolean): () => void {
    const topic = toTopic({ network: inferenceNetwork, secret: this.#options.secret, modelId: hash })
    return this.#options.join(topic, { isFound })
  }

  #unseek(hash: ModelHash): void {
    const sought = this.#sought.get(hash)
    this.#sought.delete(hash)
    clearTimeout(sought?.timer)
    sought?.leave()
  }
}
