import { findRunningModels } from '../../../runtime/models/remote-models.ts'
import { addModelAction, toSize, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

export const addRm: AddModelCommand = (models, exit) => {
  const command = models
    .command('rm')
    .description('remove models; a file that was added in place stays where it is')
    .argument('<models...>', 'ids, or beginnings of hashes')
  addModelAction(
    command,
    exit,
    'removing',
    async ({ library, config, tellNode }, names: readonly string[], flags: { json?: boolean }) => {
      const removed = []
      for (const name of names) {
        const running = await findRunningModels(config.dataDir)
        await running?.release(name)
        const model = await library.remove(name)
        removed.push(model)
        if (!flags.json)
          note(`removed "${model.id}", ${model.isReference ? 'its file stays' : toSize(model.bytes)}`)
      }
      await tellNode()
      if (flags.json) await output.json(removed)
    },
  )
}
