import type { Engine, ModelSpec } from '../actors/inference/engine.port.ts'
import { joinEngines } from '../actors/inference/engines.ts'
import { createOpenAiEngine } from '../actors/inference/openai/openai-engine.ts'
import type { OpenAiEngineOptions } from '../actors/inference/openai/settings.ts'
import { QMeshError, toModelId } from '../protocol/index.ts'
import type { Config } from './config/index.ts'

/** A model that another program runs, and where that program is. */
export interface RemoteModel extends OpenAiEngineOptions {
  readonly spec: ModelSpec
}

/** What the configuration says of it; undefined where all models are files. */
export function toRemoteSpec(config: Config): RemoteModel | undefined {
  const { engine, engineUrl: url, engineModel: name, engineKey: key, engineContext, engineSlots } = config
  if (engine !== 'openai' || url === undefined || name === undefined) return undefined
  const spec: ModelSpec = {
    id: toModelId(name),
    path: url,
    remoteName: name,
    contextTokens: engineContext,
    slots: engineSlots,
    // It takes no memory that another model could use.
    isPinned: true,
  }
  return { spec, url, key }
}

/** @throws QMeshError `QM_CONFIG_INVALID` where a file has its name */
export function withRemote(files: readonly ModelSpec[], remote: RemoteModel | undefined): ModelSpec[] {
  if (!remote) return [...files]
  const { spec } = remote
  if (files.some(({ id }) => id === spec.id)) {
    throw new QMeshError(
      'QM_CONFIG_INVALID',
      `two models are called "${spec.id}", one of "models" and the one of "engineModel": give the file another name, as { id = "other", path = "…" }`,
    )
  }
  return [...files, spec]
}

export const withRemoteEngine = (files: Engine, remote: RemoteModel | undefined): Engine =>
  remote ? joinEngines(files, createOpenAiEngine(remote)) : files
