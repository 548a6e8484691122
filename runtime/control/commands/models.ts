import { z } from 'zod'
import { QMeshError } from '../../../protocol/index.ts'
import {
  type ModelsPort,
  publishedSchema,
  pulledModelSchema,
  repairedSchema,
  seedStatusSchema,
  unpublishedSchema,
} from '../../models/models.port.ts'
import { type CommandContext, defineCommand } from '../command.ts'

const name = z.string().min(1).max(2_048)
const names = z.array(name).max(100)

/** Notices on the way of a pull or a repair. */
export const progressNotice = 'progress'
export const sourceFailedNotice = 'source-failed'

/** A node in memory only has no models. */
function modelsOf({ port }: CommandContext): ModelsPort {
  if (port.models) return port.models
  throw new QMeshError('QM_MODEL_NOT_FOUND', 'this node keeps no models: it has no data directory')
}

export const modelsPullCommand = defineCommand({
  args: z.object({ name }),
  result: pulledModelSchema,
  run: (context, args) => {
    // Nobody waits for a notice: one who reads none is given up by the writer.
    const tell = (notice: string, value: unknown): void =>
      void context.send({ type: 'notice', name: notice, value }).catch(() => undefined)
    return modelsOf(context).pull(args.name, {
      signal: context.signal,
      onProgress: (progress) => tell(progressNotice, progress),
      onSourceFailed: (failure) => tell(sourceFailedNotice, failure),
    })
  },
})

export const modelsSeedCommand = defineCommand({
  args: z.object({ names, giveBytesMax: z.number().int().min(1).optional() }),
  result: z.array(seedStatusSchema).readonly(),
  run: (context, args) => modelsOf(context).seed(args.names, args.giveBytesMax),
})

export const modelsUnseedCommand = defineCommand({
  args: z.object({ names }),
  result: z.array(seedStatusSchema).readonly(),
  run: (context, args) => modelsOf(context).unseed(args.names),
})

export const modelsSeedsCommand = defineCommand({
  args: z.object({}),
  result: z.array(seedStatusSchema).readonly(),
  run: (context) => modelsOf(context).seeds(),
})

export const modelsRepairCommand = defineCommand({
  args: z.object({ name }),
  result: repairedSchema,
  run: (context, args) =>
    modelsOf(context).repair(args.name, {
      signal: context.signal,
      onProgress: (doneBytes, totalBytes) =>
        void context
          .send({ type: 'notice', name: progressNotice, value: { doneBytes, totalBytes } })
          .catch(() => undefined),
    }),
})

export const modelsPublishCommand = defineCommand({
  args: z.object({
    name,
    version: z.number().int().min(0).max(0xffff_ffff).optional(),
    title: z.string().max(128).optional(),
    description: z.string().max(1_024).optional(),
    licence: z.string().max(64).optional(),
    source: z.string().max(2_048).optional(),
  }),
  result: publishedSchema,
  run: (context, { name: model, version, title, description, licence, source }) =>
    modelsOf(context).publish(model, {
      ...(version !== undefined && { version }),
      ...(title !== undefined && { name: title }),
      ...(description !== undefined && { description }),
      ...(licence !== undefined && { licence }),
      ...(source !== undefined && { sources: [{ kind: 'peers' }, { kind: 'https', url: source }] }),
    }),
})

export const modelsUnpublishCommand = defineCommand({
  args: z.object({ name }),
  result: unpublishedSchema,
  run: (context, args) => modelsOf(context).unpublish(args.name),
})

export const modelsReleaseCommand = defineCommand({
  args: z.object({ name }),
  result: z.object({}),
  run: async (context, args) => {
    await modelsOf(context).release(args.name)
    return {}
  },
})

export const modelsRefreshCommand = defineCommand({
  args: z.object({}),
  result: z.object({}),
  run: async (context) => {
    await modelsOf(context).refresh()
    return {}
  },
})

/** To be spread into the list of all commands. */
export const modelsCommands = {
  'models-pull': modelsPullCommand,
  'models-publish': modelsPublishCommand,
  'models-refresh': modelsRefreshCommand,
  'models-release': modelsReleaseCommand,
  'models-repair': modelsRepairCommand,
  'models-seed': modelsSeedCommand,
  'models-seeds': modelsSeedsCommand,
  'models-unpublish': modelsUnpublishCommand,
  'models-unseed': modelsUnseedCommand,
} as const
