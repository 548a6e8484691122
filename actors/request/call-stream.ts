import type { CallParser } from '../../machines/tools/index.ts'
import type { AnswerChunk } from './answer-log.ts'

type Next = IteratorResult<AnswerChunk, undefined>

/**
 * The chunks of an answer with its calls told from its text. What is held back because it may become a call is told when
 * that is clear, at the end at the latest.
 */
export function readCalls(
  next: () => Promise<Next>,
  createParser: () => CallParser | undefined,
): () => Promise<Next> {
  let parser: CallParser | undefined
  let isOver = false
  return async () => {
    const result = await next()
    // Which model answers is clear when it has said something.
    parser ??= isOver ? undefined : createParser()
    if (!parser || isOver) return result
    if (!result.done) {
      const { text, calls } = parser.push(result.value.text)
      return {
        done: false,
        value: { tokens: result.value.tokens, text, ...(calls.length > 0 && { toolCalls: calls }) },
      }
    }
    isOver = true
    const { text, calls } = parser.finish()
    if (text === '' && calls.length === 0) return result
    return { done: false, value: { tokens: [], text, ...(calls.length > 0 && { toolCalls: calls }) } }
  }
}
