import type { AnswerResult } from '../../request/answer.ts'
import { anthropicError } from '../error-shapes.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import type { Message, MessageUsage } from './wire.ts'

const toUsage = ({ usage }: AnswerResult): MessageUsage => ({
  input_tokens: usage.promptTokens - usage.cachedTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: usage.cachedTokens,
  output_tokens: usage.completionTokens,
})

const stopReasons = {
  stop: 'end_turn',
  length: 'max_tokens',
  'stop-string': 'stop_sequence',
  toolCalls: 'tool_use',
} as const

/** A worker says that a stop string came, not which: with one it is clear. */
const toStop = ({ finishReason }: AnswerResult, stops: readonly string[]) => ({
  stop_reason: stopReasons[finishReason],
  stop_sequence: finishReason === 'stop-string' && stops.length === 1 ? (stops[0] ?? null) : null,
})

/** A whole message. */
export function toMessage(id: string, result: AnswerResult, stops: readonly string[]): Message {
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: result.modelId,
    content: [{ type: 'text', text: result.text }],
    ...toStop(result, stops),
    usage: toUsage(result),
  }
}

/** @param promptTokens as the worker counted them, for the first event; 0 when none has yet */
export function createMessageStream(
  id: string,
  model: string,
  stops: readonly string[],
  promptTokens: number,
): StreamFormat {
  const event = (type: string, data: object): string => toEvent({ type, ...data }, type)
  const message: Message = {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: {
      input_tokens: promptTokens,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: 0,
    },
  }
  return {
    begin: () =>
      event('message_start', { message }) +
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    delta: (_, text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
    finish: (_, result) =>
      event('content_block_stop', { index: 0 }) +
      event('message_delta', { delta: toStop(result, stops), usage: toUsage(result) }),
    end: () => event('message_stop', {}),
    failed: (failure) => toEvent(anthropicError(failure), 'error'),
  }
}
