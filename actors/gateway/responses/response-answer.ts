import type { ToolCall } from '../../../protocol/index.ts'
import type { AnswerResult } from '../../request/answer.ts'
import { nowSeconds } from '../openai/usage.ts'
import type { ResponseRequest } from './response-request.ts'
import type { OutputCall, OutputItem, OutputMessage, Response } from './wire.ts'

/** What is said of a response before there is anything of it. */
export const toHead = (id: string, model: string, request: ResponseRequest): Response => ({
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
  tool_choice: request.tool_choice ?? 'auto',
  tools: request.tools ?? [],
  top_p: request.top_p ?? null,
  truncation: 'disabled',
  usage: null,
})

export function toDone(
  head: Response,
  output: OutputItem[],
  { usage, modelId, finishReason }: AnswerResult,
): Response {
  const isCut = finishReason === 'length'
  return {
    ...head,
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    model: modelId,
    output,
    usage: {
      input_tokens: usage.promptTokens,
      input_tokens_details: { cached_tokens: usage.cachedTokens },
      output_tokens: usage.completionTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.promptTokens + usage.completionTokens,
    },
  }
}

type Status = OutputMessage['status']

export const toOutputMessage = (id: string, text: string, status: Status): OutputMessage => ({
  type: 'message',
  id: `msg_${id}`,
  status,
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [] }],
})

export const toOutputCall = (call: ToolCall, status: Status): OutputCall => ({
  type: 'function_call',
  id: `fc_${call.id}`,
  call_id: call.id,
  name: call.name,
  arguments: call.arguments,
  status,
})

/** Text, where there is some or nothing else, and calls. What an answer was cut in is its last item. */
export function toOutput(id: string, { text, toolCalls = [], finishReason }: AnswerResult): OutputItem[] {
  const last: Status = finishReason === 'length' ? 'incomplete' : 'completed'
  const hasText = text !== '' || toolCalls.length === 0
  return [
    ...(hasText ? [toOutputMessage(id, text, toolCalls.length === 0 ? last : 'completed')] : []),
    ...toolCalls.map((call, index) =>
      toOutputCall(call, index === toolCalls.length - 1 ? last : 'completed'),
    ),
  ]
}

/** A whole response. */
export const toResponse = (id: string, result: AnswerResult, request: ResponseRequest): Response =>
  toDone(toHead(id, result.modelId, request), toOutput(id, result), result)
