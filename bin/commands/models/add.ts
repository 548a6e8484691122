import { Option } from 'commander'
import type { AddOptions } from '../../../runtime/models/index.ts'
import { addModelAction, shortHash, toSize, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

interface Flags {
  readonly id?: string
  readonly name?: string
  readonly kind?: NonNullable<AddOptions['kind']>
  readonly licence?: string
  readonly manifest?: string
  readonly copy?: boolean
  readonly move?: boolean
  readonly pin?: boolean
  readonly trial: boolean
  readonly json?: boolean
}

export const addAdd: AddModelCommand = (models, exit) => {
  const command = models
    .command('add')
    .description('make a GGUF file of this machine one of its models; the file stays where it is')
    .argument('<file>', 'path of the file')
    .option('--id <id>', 'what to call it (default: from the name of the file)')
    .option('--name <name>', 'a name for people')
    .addOption(
      new Option('--kind <kind>', 'what it is for (default: from the file)').choices([
        'chat',
        'embedding',
        'rerank',
      ]),
    )
    .option('--licence <spdx>', 'SPDX id of its licence (default: other)')
    .addOption(
      new Option('--manifest <file>', 'a manifest of this very file, instead of the flags above').conflicts([
        'id',
        'name',
        'kind',
        'licence',
      ]),
    )
    .addOption(new Option('--copy', 'copy it into the folder of models').conflicts('move'))
    .option('--move', 'move it into the folder of models')
    .option('--pin', 'never remove it to make room')
    .option('--no-trial', 'do not load it once in a process of its own to see whether the engine survives it')
  addModelAction(
    command,
    exit,
    'trying the file',
    async ({ library, signal, progress, tellNode }, file: string, flags: Flags) => {
      const model = await library.add(file, {
        id: flags.id,
        name: flags.name,
        kind: flags.kind,
        licence: flags.licence,
        manifest: flags.manifest,
        how: flags.copy ? 'copy' : flags.move ? 'move' : 'reference',
        isPinned: flags.pin,
        isTried: flags.trial,
        signal,
        onProgress: (done, total) => progress(`reading the file: ${Math.floor((100 * done) / total)} %`),
      })
      await tellNode()
      if (flags.json) return output.json(model)
      note(`"${model.id}" is a model of this machine now: ${toSize(model.bytes)}, ${shortHash(model.hash)}`)
    },
  )
}
