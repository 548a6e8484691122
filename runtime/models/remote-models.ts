import { z } from 'zod'
import { QMeshError } from '../../protocol/index.ts'
import { findRunningNode } from '../control/client.ts'
import { modelsCommands, progressNotice, sourceFailedNotice } from '../control/commands/models.ts'
import { request } from '../control/request.ts'
import { toSocketPath } from '../control/socket-path.ts'
import { type ModelsPort, pullProgressSchema, sourceFailureSchema } from './models.port.ts'

type Commands = typeof modelsCommands

/** How far the file to be repaired was read. */
const readingSchema = z.object({ doneBytes: z.number().min(0), totalBytes: z.number().min(0) })

/**
 * The models of the node that runs on a data directory; undefined when none does.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE` when its socket cannot be trusted or reached
 */
export async function findRunningModels(dataDir: string): Promise<ModelsPort | undefined> {
  if (!(await findRunningNode(dataDir))) return undefined
  const { path } = toSocketPath(dataDir)
  const call = async <Name extends keyof Commands>(
    name: Name,
    args: z.input<Commands[Name]['args']>,
    options: { signal?: AbortSignal | undefined; onNotice?: (name: string, value: unknown) => void } = {},
  ): Promise<z.output<Commands[Name]['result']>> => {
    for await (const reply of request(path, name, args, options.signal)) {
      if (reply.type === 'notice') options.onNotice?.(reply.name, reply.value)
      if (reply.type !== 'result') continue
      const parsed = modelsCommands[name].result.safeParse(reply.value)
      if (parsed.success) return parsed.data as z.output<Commands[Name]['result']>
      throw new QMeshError(
        'QM_PROTOCOL_VERSION',
        `the running node answered "${name}" in a way this version does not understand`,
      )
    }
    throw new QMeshError('QM_NODE_STOPPED', 'the node stopped before it answered')
  }
  return {
    pull: (name, { signal, onProgress, onSourceFailed } = {}) =>
      call(
        'models-pull',
        { name },
        {
          signal,
          onNotice: (notice, value) => {
            const [progress, failure] = [
              pullProgressSchema.safeParse(value),
              sourceFailureSchema.safeParse(value),
            ]
            if (notice === progressNotice && progress.success) onProgress?.(progress.data)
            if (notice === sourceFailedNotice && failure.success) onSourceFailed?.(failure.data)
          },
        },
      ),
    seed: (names, giveBytesMax) => call('models-seed', { names: [...names], giveBytesMax }),
    unseed: (names) => call('models-unseed', { names: [...names] }),
    seeds: () => call('models-seeds', {}),
    repair: (name, { signal, onProgress } = {}) =>
      call(
        'models-repair',
        { name },
        {
          signal,
          onNotice: (notice, value) => {
            const read = readingSchema.safeParse(value)
            if (notice === progressNotice && read.success)
              onProgress?.(read.data.doneBytes, read.data.totalBytes)
          },
        },
      ),
    release: async (name) => void (await call('models-release', { name })),
    refresh: async () => void (await call('models-refresh', {})),
    unpublish: (name) => call('models-unpublish', { name }),
    publish: (name, { version, name: title, description, licence, sources = [] } = {}) => {
      const web = sources.find((source) => source.kind === 'https')
      return call('models-publish', { name, version, title, description, licence, source: web?.url })
    },
  }
}
