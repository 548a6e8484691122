import { defaultSampling, type ChatMessage } from '../../../protocol/index.ts'
import type { GenerateRequest } from '../engine.port.ts'
import type { ResumeManner } from './seam-filter.ts'

/** A request as the engine's API has it. */
export interface EngineCall {
  readonly path: '/chat/completions' | '/completions'
  readonly body: object
}

/** Stop strings that every server takes; the others are seen here, and end the request. */
const stopsMax = 4

/**
 * What there is of an answer is given as text: behind a raw prompt it is simply more of the prompt; in a chat it is the
 * beginning of the assistant's message.
 *
 * @param model as the engine calls it
 * @param manner of the engine; one that answers anew is given no beginning
 */
export function toEngineCall(request: GenerateRequest, model: string, manner: ResumeManner): EngineCall {
  const { messages, prompt = '', resume } = request
  const isAnew = messages !== undefined && manner === 'restarts'
  const maxTokens = request.maxTokens - (isAnew ? 0 : (resume?.tokens.length ?? 0))
  const body = {
    model,
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true },
    ...toSamplingFields(request),
    ...(request.stop.length > 0 && { stop: request.stop.slice(0, stopsMax) }),
    ...(request.jsonSchema !== undefined && {
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', strict: true, schema: JSON.parse(request.jsonSchema) as unknown },
      },
    }),
  }
  const begun = isAnew ? '' : (resume?.text ?? '')
  if (!messages) return { path: '/completions', body: { ...body, prompt: prompt + begun } }
  return { path: '/chat/completions', body: { ...body, messages: withBeginning(messages, begun) } }
}

function withBeginning(messages: readonly ChatMessage[], begun: string): readonly ChatMessage[] {
  if (begun === '') return messages
  const last = messages.at(-1)
  // Whoever asked may have written the beginning of the answer; what came goes behind it.
  if (last?.role === 'assistant')
    return [...messages.slice(0, -1), { ...last, content: last.content + begun }]
  return [...messages, { role: 'assistant', content: begun }]
}

/**
 * Temperature, `top_p` and seed are part of the API. The others go along only where they differ from the mesh's own
 * defaults: servers for open models know them, others may refuse what they do not know.
 */
function toSamplingFields({ sampling }: GenerateRequest): object {
  const { temperature, topP, seed, topK, minP, repeatPenalty } = sampling
  return {
    temperature,
    top_p: topP,
    ...(seed !== undefined && { seed }),
    ...(topK !== defaultSampling.topK && { top_k: topK }),
    ...(minP !== defaultSampling.minP && { min_p: minP }),
    ...(repeatPenalty !== defaultSampling.repeatPenalty && { repeat_penalty: repeatPenalty }),
  }
}
