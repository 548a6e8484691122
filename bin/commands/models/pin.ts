import { addModelAction, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

export const addPin: AddModelCommand = (models, exit) => {
  const command = models
    .command('pin')
    .description('never remove a model to make room for others')
    .argument('<model>', 'its id, or the beginning of its hash')
    .option('--off', 'take it back')
  addModelAction(
    command,
    exit,
    'pinning',
    async ({ library, tellNode }, name: string, flags: { off?: boolean; json?: boolean }) => {
      const model = await library.pin(name, !flags.off)
      await tellNode()
      if (flags.json) return output.json(model)
      note(`"${model.id}" ${model.isPinned ? 'stays whatever happens' : 'may be removed to make room'}`)
    },
  )
}
