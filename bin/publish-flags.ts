import type { Command } from 'commander'
import type { PublishChanges } from '../runtime/models/models.port.ts'
import { toInteger } from './options.ts'

/** What a publisher says of a model, as flags. */
export interface PublishFlags {
  readonly manifestVersion?: string
  readonly name?: string
  readonly description?: string
  readonly licence?: string
  readonly source?: string
}

const versionMax = 0xffff_ffff

export const addPublishFlags = (command: Command): Command =>
  command
    .option(
      '--manifest-version <number>',
      'version of the manifest (default: one more than the last one signed)',
    )
    .option('--name <name>', 'a name for people')
    .option('--description <text>', 'what it is')
    .option('--licence <spdx>', 'SPDX id of its licence')
    .option('--source <url>', 'an https address where the file can be had, beside other nodes')

/** @throws QMeshError `QM_USAGE` for what is no version */
export function toPublishChanges(flags: PublishFlags): PublishChanges {
  const { manifestVersion, name, description, licence, source } = flags
  const version = toInteger('--manifest-version', manifestVersion, 0, versionMax)
  return {
    ...(version !== undefined && { version }),
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(licence !== undefined && { licence }),
    ...(source !== undefined && { sources: [{ kind: 'peers' }, { kind: 'https', url: source }] }),
  }
}
