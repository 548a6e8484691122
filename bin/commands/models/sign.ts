import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { QMeshError } from '../../../runtime/error-report.ts'
import { openModelSigner } from '../../../runtime/models/index.ts'
import { addModelAction, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'
import { addPublishFlags, type PublishFlags, toPublishChanges } from '../../publish-flags.ts'

interface Flags extends PublishFlags {
  readonly out?: string
  readonly json?: boolean
}

export const addSign: AddModelCommand = (models, exit) => {
  const command = models
    .command('sign')
    .description("sign the manifest of a model with this node's key, so that others know whose word it is")
    .argument('<model>', 'its id, or the beginning of its hash')
    .option('--out <file>', 'write the signed manifest to a new file')
  addPublishFlags(command)
  addModelAction(
    command,
    exit,
    'signing',
    async ({ library, config, tellNode }, name: string, flags: Flags) => {
      const changes = toPublishChanges(flags)
      // Before anything is signed, which peers would hear of.
      if (flags.out !== undefined && existsSync(flags.out)) throw taken(flags.out)
      const signer = await openModelSigner(config.dataDir)
      const manifest = await library.sign(name, signer, changes)
      await tellNode()
      if (flags.out !== undefined) await write(flags.out, manifest)
      if (flags.json) return output.json(manifest)
      note(`version ${manifest.version} of "${manifest.id}" is signed by ${manifest.publisher}`)
    },
  )
}

const taken = (path: string): QMeshError =>
  new QMeshError('QM_USAGE', `${path} exists already and is not overwritten: name another file`)

async function write(path: string, manifest: object): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw taken(path)
  }
}
