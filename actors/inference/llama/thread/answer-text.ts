import { QMeshError, type Resume } from '../../../../protocol/index.ts'
import { StopFilter, type Filtered } from '../../stop-strings.ts'
import type { TextWatcher } from './call-gate.ts'
import { TokenText, type PieceDecoder } from './token-text.ts'

/** Where an answer stands that another worker began. */
export interface TakenUp {
  /** Text that is certain after its tokens and that the reader does not have yet. */
  readonly owed: string
  /** Its last token completed this stop string: there is nothing to go on with. */
  readonly stoppedBy: string | undefined
  /** The reader has text that only the end makes certain: the answer was over. */
  readonly hasEnded: boolean
}

/** The text of one answer: whole letters only, cut before the first stop string. */
export class AnswerText {
  readonly #text: TokenText
  readonly #stops: StopFilter
  readonly #watcher: TextWatcher | undefined

  constructor(
    decoder: PieceDecoder,
    pieces: Map<number, string>,
    stops: readonly string[],
    watcher?: TextWatcher,
  ) {
    this.#text = new TokenText(decoder, pieces)
    this.#stops = new StopFilter(stops)
    this.#watcher = watcher
  }

  push(token: number): Filtered {
    const text = this.#text.push(token)
    this.#watcher?.saw(token, text)
    return this.#stops.push(text)
  }

  /** The answer ended by itself: what was held back is all there will be. */
  flush(): string {
    return this.#stops.push(this.#text.flush()).text + this.#stops.flush()
  }

  /**
   * Goes through the tokens of an answer that another worker began, so that half a letter and half a stop string are
   * held back here as they were there.
   *
   * @throws QMeshError `QM_RESUME_INVALID` when no worker could have sent these tokens with this much text
   */
  takeUp({ tokens, chars }: Resume): TakenUp {
    let text = ''
    let stoppedBy: string | undefined
    for (const token of tokens) {
      if (stoppedBy !== undefined) throw invalid(`tokens after the stop string ${JSON.stringify(stoppedBy)}`)
      const certain = this.push(token)
      text += certain.text
      stoppedBy = certain.stoppedBy
    }
    const hasEnded = chars > text.length
    if (hasEnded && stoppedBy === undefined) text += this.flush()
    if (chars > text.length) throw invalid(`${chars} characters with tokens that stand for ${text.length}`)
    return { owed: text.slice(chars), stoppedBy, hasEnded }
  }
}

const invalid = (detail: string): QMeshError =>
  new QMeshError('QM_RESUME_INVALID', `cannot go on after ${detail}`)
