import { explainNoTools } from '../../machines/selection/index.ts'
import { hasToolTurns, type ChatMessage, type ModelId } from '../../protocol/index.ts'
import type { AskOptions } from '../request/ask-options.ts'
import { ApiError } from './api-error.ts'
import type { GatewayPort } from './gateway.port.ts'

/**
 * Says at once that a model cannot be offered functions; of one that no worker is known to hold nobody can say it yet.
 *
 * @throws ApiError 400, naming the models that can
 */
export function checkToolModel(
  port: GatewayPort,
  model: ModelId | undefined,
  messages: readonly ChatMessage[],
  { tools, toolChoice }: Pick<AskOptions, 'tools' | 'toolChoice'>,
): void {
  const isOffered = tools !== undefined && toolChoice !== 'none'
  if (!isOffered && !hasToolTurns(messages)) return
  const known = port.workers().flatMap(({ models }) => models)
  const asked = known.filter(({ id }) => model === undefined || id === model)
  if (asked.length === 0 || asked.some((ad) => ad.tools !== undefined)) return
  throw new ApiError(
    explainNoTools(model, known),
    { code: 'unsupported_parameter', param: isOffered ? 'tools' : 'messages' },
    'QM_TOOLS_UNSUPPORTED',
  )
}
