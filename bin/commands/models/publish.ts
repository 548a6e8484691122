import { shortHash, type AddModelCommand } from '../../model-commands.ts'
import { toInteger } from '../../options.ts'
import { note, output } from '../../output.ts'
import { addTransferAction, type TransferFlags } from '../../transfer-action.ts'

interface Flags extends TransferFlags {
  readonly manifestVersion?: string
  readonly title?: string
  readonly description?: string
  readonly licence?: string
  readonly source?: string
  readonly off?: boolean
}

export const addPublish: AddModelCommand = (models, exit) => {
  const command = models
    .command('publish')
    .description("sign a model with this node's key, offer it, and tell the peers")
    .argument('<model>', 'its id, or the beginning of its hash')
    .option(
      '--manifest-version <number>',
      'version of the manifest (default: one more than the last one signed)',
    )
    .option('--title <text>', 'a name for people')
    .option('--description <text>', 'what it is')
    .option('--licence <spdx>', 'SPDX id of its licence')
    .option('--source <url>', 'an https address where the file can be had, beside other nodes')
    .option('--off', 'take it out of your catalog: peers forget that it was published')
  addTransferAction(command, exit, async ({ access }, name: string, flags: Flags) => {
    if (flags.off) {
      const { publisher, catalogVersion, models } = await access.port.unpublish(name)
      if (flags.json) return output.json({ publisher, catalogVersion, models })
      return note(
        `version ${catalogVersion} of your catalog is without "${name}", and has ${models.length} models`,
      )
    }
    const version = toInteger('--manifest-version', flags.manifestVersion, 0, 0xffff_ffff)
    const published = await access.port.publish(name, {
      ...(version !== undefined && { version }),
      ...(flags.title !== undefined && { name: flags.title }),
      ...(flags.description !== undefined && { description: flags.description }),
      ...(flags.licence !== undefined && { licence: flags.licence }),
      ...(flags.source !== undefined && {
        sources: [{ kind: 'peers' }, { kind: 'https', url: flags.source }],
      }),
    })
    if (flags.json) return output.json(published)
    const { id, publisher, hash } = published
    note(`version ${published.version} of "${id}" (${shortHash(hash)}) is signed by ${publisher}`)
    note(`others fetch it with: qmesh-node models trust ${publisher}; qmesh-node models pull ${id}`)
    if (!access.isRunning) note('it is offered while a node runs here: qmesh-node up')
  })
}
