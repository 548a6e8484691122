import type { ChatMessage } from '../../protocol/index.ts'
import type { AskOptions } from '../request/ask-options.ts'

/** What one call of an API asks the mesh, whatever the API: a question for each choice. */
export interface Call {
  readonly asks: readonly Ask[]
  /** Different prompts among them; the choices of each follow one another. */
  readonly prompts: number
  /** The model, as the caller named it. */
  readonly model: string
  readonly isStreamed: boolean
  /** Whether the stream ends with what was used. */
  readonly hasUsage: boolean
}

export interface Ask {
  readonly input: string | readonly ChatMessage[]
  readonly options: AskOptions
}
