import { EngineFault } from './engine-fault.ts'

/**
 * What an engine does that is given the beginning of its answer. `continues`: it says what follows, as a gateway of QMesh
 * does; `echoes`: it says the beginning again and then what follows, as llama-server does; `restarts`: it takes no
 * beginning and has to answer anew.
 */
export type ResumeManner = 'continues' | 'echoes' | 'restarts'

/** Characters from which on a repetition of all there was is no chance. */
const tellingChars = 16

/**
 * Leaves out what the reader has already: the beginning of an answer, where the engine says it once more. A text that
 * parts from it before its end is the continuation that it looks like, unless the engine is known to answer anew: then
 * it is another answer, and the reader is not given a second one behind half of the first.
 */
export class SeamFilter {
  readonly #begun: string
  readonly #manner: ResumeManner
  #held = ''
  #isOver: boolean

  constructor(begun: string, manner: ResumeManner) {
    this.#begun = begun
    this.#manner = manner
    this.#isOver = manner === 'continues' ? begun.length < tellingChars : begun === ''
  }

  /** @throws EngineFault when the engine gives another answer than the one that was begun */
  push(text: string): string {
    if (this.#isOver) return text
    this.#held += text
    if (this.#held.length < this.#begun.length && this.#begun.startsWith(this.#held)) return ''
    this.#isOver = true
    if (this.#held.startsWith(this.#begun)) return this.#held.slice(this.#begun.length)
    return this.#parted()
  }

  /** The engine stopped on the way. @throws EngineFault as `push` */
  flush(): string {
    if (this.#isOver) return ''
    this.#isOver = true
    return this.#parted()
  }

  #parted(): string {
    if (this.#manner !== 'restarts') return this.#held
    throw new EngineFault(
      'QM_INFERENCE_FAILED',
      'the engine of this worker cannot go on with an answer, and gave another one',
      'it takes no beginning of an answer, and did not say the same again',
    )
  }
}
