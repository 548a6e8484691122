import { modelIdSchema, type ModelId } from '../../protocol/index.ts'
import { ApiError } from './api-error.ts'
import type { GatewayPort } from './gateway.port.ts'
import { nearNames } from './near-names.ts'

/** Says that any model will do. */
const anyModel: ReadonlySet<string> = new Set(['auto', 'default'])

export interface KnownModel {
  readonly id: ModelId
  /** Tokens of prompt and answer together, at the worker with most room. */
  readonly contextTokens: number
  readonly workers: number
}

/** Every model that some known worker holds, by name. */
export function listModels(port: GatewayPort): KnownModel[] {
  const models = new Map<ModelId, KnownModel>()
  for (const worker of port.workers()) {
    for (const { id, contextTokens } of worker.models) {
      const known = models.get(id)
      models.set(id, {
        id,
        contextTokens: Math.max(contextTokens, known?.contextTokens ?? 0),
        workers: (known?.workers ?? 0) + 1,
      })
    }
  }
  return [...models.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

export function findModel(port: GatewayPort, id: string): KnownModel {
  const found = listModels(port).find((model) => model.id === id)
  if (!found) throw unknownModel(port, id)
  return found
}

/**
 * The model that a request names; undefined where any will do. While no worker is known at all, nobody can say that
 * there is no such model: the request then waits for one, as any other does.
 *
 * @throws ApiError 404, naming models of nearly that name
 */
export function toModel(port: GatewayPort, name: string): ModelId | undefined {
  const known = listModels(port)
  if (known.some(({ id }) => id === name)) return name
  if (anyModel.has(name)) return undefined
  const isComing = port.status().models.some(({ id, state }) => id === name && state !== 'failed')
  const isPossible = modelIdSchema.safeParse(name).success
  if (isComing || (known.length === 0 && isPossible)) return name
  throw unknownModel(port, name)
}

function unknownModel(port: GatewayPort, name: string): ApiError {
  const known = listModels(port).map(({ id }) => id)
  const near = nearNames(name, known)
  const list = (names: readonly string[]): string => names.map((id) => `"${id}"`).join(', ')
  const hint =
    near.length > 0
      ? `Did you mean ${list(near)}?`
      : known.length > 0
        ? `There are ${list(known.slice(0, 8))}; "auto" takes any.`
        : 'No worker is known now.'
  return new ApiError(
    `No known worker holds the model "${name.slice(0, 128)}". ${hint}`,
    { status: 404, code: 'model_not_found', param: 'model' },
    'QM_MODEL_UNKNOWN',
  )
}
