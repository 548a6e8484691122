import type { ToolCall } from '../../../protocol/index.ts'
import type { AnswerResult } from '../../request/answer.ts'
import { anthropicError } from '../error-shapes.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import type { Message, MessageBlock, MessageUsage } from './wire.ts'

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
  const { text, toolCalls = [] } = result
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: result.modelId,
    content: [
      ...(text !== '' || toolCalls.length === 0 ? [{ type: 'text' as const, text }] : []),
      ...toolCalls.map(toBlock),
    ],
    ...toStop(result, stops),
    usage: toUsage(result),
  }
}

/** A call whose arguments are no object, as where an answer was cut, is what it was written as: text. */
function toBlock({ id, name, arguments: given }: ToolCall): MessageBlock {
  const input = toObject(given)
  return input
    ? { type: 'tool_use', id, name, input }
    : { type: 'text', text: `{"name": ${JSON.stringify(name)}, "arguments": ${given}` }
}

function toObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

export interface MessageStreamOptions {
  readonly id: string
  readonly model: string
  readonly stops: readonly string[]
  /** As the worker counted them, for the first event; 0 when none has yet. */
  readonly promptTokens: number
  /** It may begin with a call, so nobody says what it begins with before it does. */
  readonly hasTools: boolean
}

/** The events of a streamed message: blocks one after the other, of text and of calls. */
export function createMessageStream(options: MessageStreamOptions): StreamFormat {
  const { id, model, stops, promptTokens, hasTools } = options
  const event = (type: string, data: object): string => toEvent({ type, ...data }, type)
  let index = -1
  let open: MessageBlock['type'] | undefined
  const close = (): string => {
    if (open === undefined) return ''
    open = undefined
    return event('content_block_stop', { index })
  }
  const begin = (block: MessageBlock): string => {
    const before = close()
    open = block.type
    index++
    return before + event('content_block_start', { index, content_block: block })
  }
  const beginText = (): string => (open === 'text' ? '' : begin({ type: 'text', text: '' }))
  const add = (delta: object): string => event('content_block_delta', { index, delta })
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
    begin: () => event('message_start', { message }) + (hasTools ? '' : beginText()),
    delta: (_, text) => beginText() + add({ type: 'text_delta', text }),
    calls: (_, deltas) =>
      deltas
        .map(({ id: callId, name, arguments: given }) => {
          const isNew = callId !== undefined && name !== undefined
          const head = isNew ? begin({ type: 'tool_use', id: callId, name, input: {} }) : ''
          return head + (given === '' ? '' : add({ type: 'input_json_delta', partial_json: given }))
        })
        .join(''),
    finish: (_, result) =>
      (index < 0 ? beginText() : '') +
      close() +
      event('message_delta', { delta: toStop(result, stops), usage: toUsage(result) }),
    end: () => event('message_stop', {}),
    failed: (failure) => toEvent(anthropicError(failure), 'error'),
  }
}
