import type { AnswerResult } from '../../request/answer.ts'
import { openAiError } from '../error-shapes.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import { toCallDeltas, toCalls } from './tool-calls.ts'
import { nowSeconds, toChatFinish, toFingerprint, toUsage } from './usage.ts'
import type { ChatChunk, ChatCompletion } from './wire.ts'

/** A whole chat completion. */
export function toChatCompletion(id: string, results: readonly AnswerResult[]): ChatCompletion {
  const [first] = results
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: nowSeconds(),
    model: first?.modelId ?? '',
    system_fingerprint: first ? toFingerprint(first) : '',
    choices: results.map((result, index) => ({
      index,
      message: { role: 'assistant', ...toContent(result), refusal: null },
      logprobs: null,
      finish_reason: toChatFinish(result),
    })),
    usage: toUsage(results),
  }
}

/** An answer that is calls and nothing else has no content. */
const toContent = ({ text, toolCalls = [] }: AnswerResult) =>
  toolCalls.length === 0
    ? { content: text }
    : { content: text === '' ? null : text, tool_calls: toCalls(toolCalls) }

/** @param model as it was asked for: who will answer is not known when the first chunk goes out */
export function createChatStream(
  id: string,
  model: string,
  choices: number,
  hasUsage: boolean,
): StreamFormat {
  const created = nowSeconds()
  const chunk = (chunkChoices: ChatChunk['choices'], usage: ChatChunk['usage'] = null): string => {
    const head = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created, model } as const
    return toEvent({ ...head, choices: chunkChoices, ...(hasUsage && { usage }) } satisfies ChatChunk)
  }
  return {
    begin: () =>
      Array.from({ length: choices }, (_, index) =>
        chunk([{ index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }]),
      ).join(''),
    delta: (index, content) => chunk([{ index, delta: { content }, logprobs: null, finish_reason: null }]),
    calls: (index, deltas) => {
      const delta = { tool_calls: toCallDeltas(deltas) }
      return chunk([{ index, delta, logprobs: null, finish_reason: null }])
    },
    finish: (index, result) =>
      chunk([{ index, delta: {}, logprobs: null, finish_reason: toChatFinish(result) }]),
    end: (results) => `${hasUsage ? chunk([], toUsage(results)) : ''}data: [DONE]\n\n`,
    failed: (failure) => toEvent(openAiError(failure)),
  }
}
