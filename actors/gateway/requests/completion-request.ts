import { z } from 'zod'
import { limits } from '../../../protocol/index.ts'
import type { Call } from '../call.ts'
import type { GatewayPort } from '../gateway.port.ts'
import { toModel } from '../models.ts'
import { callerFields, neutral, neutralFields } from './neutral.ts'
import { parseBody } from './parse.ts'
import { samplingFields, toSampling } from './sampling-fields.ts'
import { checkChoices, streamFields, toStreaming } from './stream-fields.ts'
import { textOnly } from './text-only.ts'

const text = z.string().min(1).max(limits.promptCharsMax)

const prompt = z.union([text, z.array(text).min(1).max(128)]).meta({ description: 'Text, or several texts.' })

const prompts = textOnly('Prompts', prompt)

/** The body of `POST /v1/completions`: text that is continued as it is, without the model's chat template. */
export const completionRequest = z.strictObject({
  model: z.string().min(1).max(256),
  prompt: prompts,
  ...streamFields,
  ...samplingFields,
  echo: neutral('echo', 'the prompt is not sent back', false),
  suffix: neutral('suffix', 'models of the mesh do not fill in the middle', ''),
  logprobs: neutral('logprobs', 'workers do not send probabilities'),
  best_of: neutral('best_of', 'answers are not compared', 1),
  ...neutralFields,
  ...callerFields,
})

/** @throws ApiError for what is wrong with the body, or not supported */
export function toCompletionCall(port: GatewayPort, body: unknown, choicesMax: number): Call {
  const request = parseBody(completionRequest, body)
  const texts = typeof request.prompt === 'string' ? [request.prompt] : request.prompt
  const each = request.n ?? 1
  checkChoices(each * texts.length, choicesMax)
  const model = toModel(port, request.model)
  return {
    ...toStreaming(request),
    model: request.model,
    prompts: texts.length,
    asks: texts.flatMap((input) =>
      Array.from({ length: each }, (_, index) => ({
        input,
        options: { ...toSampling(request, index), raw: true, ...(model !== undefined && { model }) },
      })),
    ),
  }
}
