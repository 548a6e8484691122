import { z } from 'zod'
import { isUnsupported } from './parse.ts'

/**
 * A parameter that this node cannot obey. Clients often send it with the value that switches it off: that one, and
 * leaving it out, is accepted, and everything else refused. Nothing is ever taken and then left out in silence.
 *
 * @param values that change nothing; `null` always does not
 */
export const neutral = (name: string, why: string, ...values: readonly unknown[]) => {
  const harmless = new Set([null, ...values].map((value) => JSON.stringify(value)))
  return z
    .custom<unknown>()
    .optional()
    .superRefine((value, context) => {
      if (value === undefined || harmless.has(JSON.stringify(value))) return
      context.addIssue({
        code: 'custom',
        message: `"${name}" is not supported: ${why}.`,
        params: isUnsupported,
      })
    })
    .meta({ enum: [null, ...values], description: `Not supported: ${why}.` })
}

const older = 'use "tools" instead'

/** Parameters of the chat and completion APIs that are known, and not supported. */
export const neutralFields = {
  frequency_penalty: neutral('frequency_penalty', 'use "repetition_penalty" instead', 0),
  presence_penalty: neutral('presence_penalty', 'use "repetition_penalty" instead', 0),
  logit_bias: neutral('logit_bias', 'the engine takes no biases', {}),
}

export const neutralChatFields = {
  ...neutralFields,
  logprobs: neutral('logprobs', 'workers do not send probabilities', false),
  top_logprobs: neutral('top_logprobs', 'workers do not send probabilities', 0),
  functions: neutral('functions', older, []),
  function_call: neutral('function_call', older, 'none', 'auto'),
  modalities: neutral('modalities', 'only text is answered', ['text'], []),
  audio: neutral('audio', 'only text is answered'),
  prediction: neutral('prediction', 'answers are not predicted'),
  reasoning_effort: neutral('reasoning_effort', 'reasoning cannot be set', 'none'),
  verbosity: neutral('verbosity', 'verbosity cannot be set', 'medium'),
  web_search_options: neutral('web_search_options', 'nothing is searched'),
  store: neutral('store', 'this node keeps no answers', false),
}

const text = z.string().max(1_024)

/** Parameters that say something about the caller and ask for nothing: taken, and not passed on. */
export const callerFields = {
  user: text.nullish(),
  safety_identifier: text.nullish(),
  prompt_cache_key: text.nullish(),
  prompt_cache_retention: text.nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  service_tier: z.enum(['auto', 'default']).nullish(),
}
