import { Option } from 'commander'
import { shortHash, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'
import { addPublishFlags, type PublishFlags, toPublishChanges } from '../../publish-flags.ts'
import { addTransferAction, type TransferFlags } from '../../transfer-action.ts'

interface Flags extends TransferFlags, PublishFlags {
  readonly off?: boolean
}

export const addPublish: AddModelCommand = (models, exit) => {
  const command = models
    .command('publish')
    .description("sign a model with this node's key, offer it, and tell the peers")
    .argument('<model>', 'its id, or the beginning of its hash')
    .addOption(
      new Option('--off', 'take it out of your catalog: peers forget that it was published').conflicts([
        'manifestVersion',
        'name',
        'description',
        'licence',
        'source',
      ]),
    )
  addPublishFlags(command)
  addTransferAction(command, exit, async ({ access }, name: string, flags: Flags) => {
    if (flags.off) {
      const { publisher, catalogVersion, models } = await access.port.unpublish(name)
      if (flags.json) return output.json({ publisher, catalogVersion, models })
      return note(
        `version ${catalogVersion} of your catalog is without "${name}", and has ${models.length} models`,
      )
    }
    const published = await access.port.publish(name, toPublishChanges(flags))
    if (flags.json) return output.json(published)
    const { id, publisher, hash } = published
    note(`version ${published.version} of "${id}" (${shortHash(hash)}) is signed by ${publisher}`)
    note(`others fetch it with: qmesh-node models trust ${publisher}; qmesh-node models pull ${id}`)
    if (!access.isRunning) note('it is offered while a node runs here: qmesh-node up')
  })
}
