import type { LlamaGrammarEvaluationState } from 'node-llama-cpp'
import { callForms, type CallForm } from '../../../../machines/tools/index.ts'
import type { ToolStyle } from '../../../../protocol/index.ts'

/** Hears the tokens of an answer with the text that became certain with each. */
export interface TextWatcher {
  saw(token: number, text: string): void
}

export interface CallGatePorts {
  /** The state of the grammar after some text; undefined when no call begins like this. */
  readonly begin: (text: string) => LlamaGrammarEvaluationState | undefined
  /** Moves a state on by a token. @returns whether the grammar allows it */
  readonly follow: (state: LlamaGrammarEvaluationState, token: number) => boolean
}

/** A call that another worker began. */
interface Begun {
  /** Its text, up to the token that made it one. */
  readonly text: string
  /** Tokens of the answer up to that one. */
  readonly at: number
  /** Tokens of the answer after it. */
  readonly tokens: number[]
}

/** Characters of an answer that is one call, up to where it is clear that it is one. */
const headCharsMax = 64
const head = '{"name":'

/**
 * Decides from where on a grammar holds: from the first token, if the model must call a function, or else from the mark
 * with which it begins to. It depends on the text alone, so whoever takes an answer up comes to the same place.
 */
export class CallGate implements TextWatcher {
  readonly #form: CallForm
  readonly #ports: CallGatePorts
  #text = ''
  #seen = 0
  /** The model writes text, and may still begin to call. */
  #isOpen = true
  #isLive = false
  #begun: Begun | undefined
  #state: LlamaGrammarEvaluationState | undefined
  /** Tokens of another worker that were drawn once more, and the state in which the next one is. */
  #replayed = 0
  #isReplaying = false
  #replayState: LlamaGrammarEvaluationState | undefined

  /** @param isForced it calls something from the first token on */
  constructor(style: ToolStyle, isForced: boolean, ports: CallGatePorts) {
    this.#form = callForms[style]
    this.#ports = ports
    if (!isForced) return
    this.#isOpen = false
    this.#begun = { text: '', at: 0, tokens: [] }
  }

  get begun(): Begun | undefined {
    return this.#begun
  }

  /** What was taken up is gone through, and the next token is drawn here; `state` is where the begun call stands. */
  goLive(state: LlamaGrammarEvaluationState | undefined): void {
    this.#isLive = true
    this.#state = state
  }

  saw(token: number, text: string): void {
    this.#seen++
    if (!this.#isOpen) {
      // Tokens that are drawn here move the state on by themselves.
      if (!this.#isLive) this.#begun?.tokens.push(token)
      return
    }
    const call = this.#find(text)
    if (call === undefined) return
    this.#isOpen = false
    this.#text = ''
    if (this.#isLive) this.#state = this.#ports.begin(call)
    else this.#begun = { text: call, at: this.#seen, tokens: [] }
  }

  /** What the next token must fit; undefined while the model writes text. Drawing a token moves it on. */
  get drawState(): LlamaGrammarEvaluationState | undefined {
    // What is drawn in the place of a known token must not move on what follows the known one.
    return this.#isReplaying ? this.#replayState?.clone() : this.#state
  }

  /** The tokens so far are drawn once more. */
  beginReplay(): void {
    this.#isReplaying = true
    this.#lookWhetherItBegins()
  }

  /** One of them was, and this is the one that counts. */
  replayed(token: number): void {
    this.#replayed++
    if (this.#replayState && !this.#ports.follow(this.#replayState, token)) this.#replayState = undefined
    this.#lookWhetherItBegins()
  }

  endReplay(): void {
    this.#isReplaying = false
    this.#replayState = undefined
  }

  #lookWhetherItBegins(): void {
    if (this.#begun?.at === this.#replayed) this.#replayState = this.#ports.begin(this.#begun.text)
  }

  /** The text from the beginning of a call on, once it is clear that it is one. */
  #find(text: string): string | undefined {
    this.#text += text
    const { begin } = this.#form
    if (begin === '') return this.#findHead()
    const index = this.#text.indexOf(begin)
    if (index >= 0) return this.#text.slice(index)
    this.#text = this.#text.slice(-(begin.length - 1))
    return undefined
  }

  #findHead(): string | undefined {
    const written = this.#text.trimStart()
    const squeezed = written.replaceAll(/\s+/g, '')
    if (squeezed.startsWith(head)) return written
    this.#isOpen = head.startsWith(squeezed) && this.#text.length <= headCharsMax
    return undefined
  }
}
