import type { AnswerResult } from '../../request/answer.ts'
import { openAiError } from '../error-shapes.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import { nowSeconds, toFingerprint, toFinishReason, toUsage } from './usage.ts'
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
      message: { role: 'assistant', content: result.text, refusal: null },
      logprobs: null,
      finish_reason: toFinishReason(result),
    })),
    usage: toUsage(results),
  }
}

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
    finish: (index, result) =>
      chunk([{ index, delta: {}, logprobs: null, finish_reason: toFinishReason(result) }]),
    end: (results) => `${hasUsage ? chunk([], toUsage(results)) : ''}data: [DONE]\n\n`,
    failed: (failure) => toEvent(openAiError(failure)),
  }
}
