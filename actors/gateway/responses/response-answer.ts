import type { AnswerResult } from '../../request/answer.ts'
import { openAiError } from '../error-shapes.ts'
import { nowSeconds } from '../openai/usage.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import type { ResponseRequest } from './response-request.ts'
import type { OutputMessage, Response } from './wire.ts'

/** What is said of a response before there is anything of it. */
const toHead = (id: string, model: string, request: ResponseRequest): Response => ({
  id: `resp_${id}`,
  object: 'response',
  created_at: nowSeconds(),
  status: 'in_progress',
  error: null,
  incomplete_details: null,
  instructions: request.instructions ?? null,
  max_output_tokens: request.max_output_tokens ?? null,
  metadata: request.metadata ?? {},
  model,
  output: [],
  parallel_tool_calls: request.parallel_tool_calls ?? true,
  previous_response_id: null,
  store: false,
  temperature: request.temperature ?? null,
  text: { format: { ...(request.text?.format ?? { type: 'text' }) } },
  tool_choice: 'auto',
  tools: [],
  top_p: request.top_p ?? null,
  truncation: 'disabled',
  usage: null,
})

function toDone(
  head: Response,
  message: OutputMessage,
  { usage, modelId, finishReason }: AnswerResult,
): Response {
  const isCut = finishReason === 'length'
  return {
    ...head,
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    model: modelId,
    output: [message],
    usage: {
      input_tokens: usage.promptTokens,
      input_tokens_details: { cached_tokens: usage.cachedTokens },
      output_tokens: usage.completionTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.promptTokens + usage.completionTokens,
    },
  }
}

const toMessage = (id: string, { text, finishReason }: AnswerResult): OutputMessage => ({
  type: 'message',
  id: `msg_${id}`,
  status: finishReason === 'length' ? 'incomplete' : 'completed',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [] }],
})

/** A whole response. */
export const toResponse = (id: string, result: AnswerResult, request: ResponseRequest): Response =>
  toDone(toHead(id, result.modelId, request), toMessage(id, result), result)

/** The events of a streamed response, numbered. */
export function createResponseStream(id: string, model: string, request: ResponseRequest): StreamFormat {
  let sequence = 0
  const event = (type: string, data: object): string =>
    toEvent({ type, sequence_number: sequence++, ...data }, type)
  const head = toHead(id, model, request)
  const place = { item_id: `msg_${id}`, output_index: 0, content_index: 0 }
  return {
    begin: () =>
      event('response.created', { response: head }) +
      event('response.in_progress', { response: head }) +
      event('response.output_item.added', {
        output_index: 0,
        item: { type: 'message', id: `msg_${id}`, status: 'in_progress', role: 'assistant', content: [] },
      }) +
      event('response.content_part.added', {
        ...place,
        part: { type: 'output_text', text: '', annotations: [] },
      }),
    delta: (_, delta) => event('response.output_text.delta', { ...place, delta, logprobs: [] }),
    finish: (_, result) => {
      const message = toMessage(id, result)
      const done = toDone(head, message, result)
      return (
        event('response.output_text.done', { ...place, text: result.text, logprobs: [] }) +
        event('response.content_part.done', { ...place, part: message.content[0] }) +
        event('response.output_item.done', { output_index: 0, item: message }) +
        event(`response.${done.status}`, { response: done })
      )
    },
    end: () => '',
    failed: (failure) => {
      const { message, param, code } = failure
      return event('error', { message, param, code, ...openAiError(failure) })
    },
  }
}
