import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { QMeshError } from '../../../runtime/error-report.ts'
import { openModelSigner } from '../../../runtime/models/index.ts'
import { addModelAction, type AddModelCommand } from '../../model-commands.ts'
import { toInteger } from '../../options.ts'
import { note, output } from '../../output.ts'

interface Flags {
  readonly out?: string
  readonly manifestVersion?: string
  readonly name?: string
  readonly description?: string
  readonly licence?: string
  readonly source?: string
  readonly json?: boolean
}

const versionMax = 0xffff_ffff

export const addSign: AddModelCommand = (models, exit) => {
  const command = models
    .command('sign')
    .description("sign the manifest of a model with this node's key, so that others know whose word it is")
    .argument('<model>', 'its id, or the beginning of its hash')
    .option('--out <file>', 'write the signed manifest to a new file')
    .option(
      '--manifest-version <number>',
      'version of the manifest (default: one more than the last one signed)',
    )
    .option('--name <name>', 'a name for people')
    .option('--description <text>', 'what it is')
    .option('--licence <spdx>', 'SPDX id of its licence')
    .option('--source <url>', 'an https address where the file can be had, beside other nodes')
  addModelAction(
    command,
    exit,
    'signing',
    async ({ library, config, tellNode }, name: string, flags: Flags) => {
      const version = toInteger('--manifest-version', flags.manifestVersion, 0, versionMax)
      // Before anything is signed, which peers would hear of.
      if (flags.out !== undefined && existsSync(flags.out)) throw taken(flags.out)
      const signer = await openModelSigner(config.dataDir)
      const manifest = await library.sign(name, signer, {
        ...(version !== undefined && { version }),
        ...(flags.name !== undefined && { name: flags.name }),
        ...(flags.description !== undefined && { description: flags.description }),
        ...(flags.licence !== undefined && { licence: flags.licence }),
        ...(flags.source !== undefined && {
          sources: [{ kind: 'peers' }, { kind: 'https', url: flags.source }],
        }),
      })
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
