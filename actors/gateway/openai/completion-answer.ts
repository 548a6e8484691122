import type { AnswerResult } from '../../request/answer.ts'
import { openAiError } from '../error-shapes.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import { nowSeconds, toFingerprint, toFinishReason, toUsage } from './usage.ts'
import type { Completion } from './wire.ts'

/** @param prompts that were given; the choices of each follow one another */
export function toCompletion(id: string, results: readonly AnswerResult[], prompts: number): Completion {
  const [first] = results
  return {
    id: `cmpl-${id}`,
    object: 'text_completion',
    created: nowSeconds(),
    model: first?.modelId ?? '',
    system_fingerprint: first ? toFingerprint(first) : '',
    choices: results.map((result, index) => ({
      index,
      text: result.text,
      logprobs: null,
      finish_reason: toFinishReason(result),
    })),
    usage: toUsage(results, prompts),
  }
}

/** @param model as it was asked for */
export function createCompletionStream(
  id: string,
  model: string,
  prompts: number,
  hasUsage: boolean,
): StreamFormat {
  const created = nowSeconds()
  const chunk = (choices: Completion['choices'], usage: Completion['usage'] = null): string => {
    const head = { id: `cmpl-${id}`, object: 'text_completion', created, model } as const
    return toEvent({ ...head, choices, ...(hasUsage && { usage }) } satisfies Completion)
  }
  return {
    begin: () => '',
    delta: (index, text) => chunk([{ index, text, logprobs: null, finish_reason: null }]),
    finish: (index, result) =>
      chunk([{ index, text: '', logprobs: null, finish_reason: toFinishReason(result) }]),
    end: (results) => `${hasUsage ? chunk([], toUsage(results, prompts)) : ''}data: [DONE]\n\n`,
    failed: (failure) => toEvent(openAiError(failure)),
  }
}
