import { explainKind, isKind, type KindNeeds } from '../../machines/selection/index.ts'
import { modelIdSchema, type ModelId } from '../../protocol/index.ts'
import { ApiError } from './api-error.ts'
import { toErrorRow } from './error-table.ts'
import type { GatewayPort } from './gateway.port.ts'
import { nearNames } from './near-names.ts'

/** Says that any model will do. */
const anyModel: ReadonlySet<string> = new Set(['auto', 'default'])

export interface KnownModel {
  readonly id: ModelId
  /** Tokens of prompt and answer together, at the worker with most room. */
  readonly contextTokens: number
  readonly workers: number
  /** Numbers in a vector, of a model that makes embeddings and answers nothing. */
  readonly embeddingSize?: number | undefined
  /** Whether some worker's can be offered functions. */
  readonly tools: boolean
}

/** Every model that some known worker holds, by name; of two kinds under one name, both. */
export function listModels(port: GatewayPort): KnownModel[] {
  const models = new Map<string, KnownModel>()
  for (const worker of port.workers()) {
    for (const { id, contextTokens, embeddingSize, tools } of worker.models) {
      const key = `${id} ${embeddingSize ?? 0}`
      const known = models.get(key)
      models.set(key, {
        id,
        contextTokens: Math.max(contextTokens, known?.contextTokens ?? 0),
        workers: (known?.workers ?? 0) + 1,
        tools: tools !== undefined || (known?.tools ?? false),
        ...(embeddingSize !== undefined && { embeddingSize }),
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
 * @param needs what it is for; left out: for an answer
 * @throws ApiError 404, naming models of nearly that name; 400 for a model of another kind
 */
export function toModel(port: GatewayPort, name: string, needs: KindNeeds = {}): ModelId | undefined {
  const known = listModels(port)
  const named = known.filter(({ id }) => id === name)
  if (named.some((model) => isKind(model, needs))) return name
  if (named[0]) throw wrongKind(named[0], needs)
  if (anyModel.has(name)) return undefined
  const isComing = port.status().models.some(({ id, state }) => id === name && state !== 'failed')
  const isPossible = modelIdSchema.safeParse(name).success
  if (isComing || (known.length === 0 && isPossible)) return name
  throw unknownModel(port, name, needs)
}

function wrongKind(model: KnownModel, needs: KindNeeds): ApiError {
  const isSize = model.embeddingSize !== undefined && needs.embedding !== undefined
  const { status, code } = toErrorRow('QM_MODEL_KIND')
  const details = { status, code, param: isSize ? 'dimensions' : 'model' }
  return new ApiError(`${explainKind(model, needs)}.`, details, 'QM_MODEL_KIND')
}

function unknownModel(port: GatewayPort, name: string, needs?: KindNeeds): ApiError {
  const known = listModels(port)
    .filter((model) => needs === undefined || isKind(model, needs))
    .map(({ id }) => id)
  const near = nearNames(name, known)
  const list = (names: readonly string[]): string => names.map((id) => `"${id}"`).join(', ')
  const hint =
    near.length > 0
      ? `Did you mean ${list(near)}?`
      : known.length > 0
        ? `There are ${list(known.slice(0, 8))}; "auto" takes any.`
        : `No worker ${needs?.embedding === undefined ? '' : 'with a model for embeddings '}is known now.`
  return new ApiError(
    `No known worker holds the model "${name.slice(0, 128)}". ${hint}`,
    { status: 404, code: 'model_not_found', param: 'model' },
    'QM_MODEL_UNKNOWN',
  )
}
