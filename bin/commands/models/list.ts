import { addModelAction, toModelRows, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

export const addList: AddModelCommand = (models, exit) => {
  const command = models.command('list').description('list the models of this machine')
  addModelAction(command, exit, 'reading the models', async ({ library }, flags: { json?: boolean }) => {
    const found = library.list()
    if (flags.json) return output.json(found)
    if (found.length === 0)
      return note(
        'no model is here yet but the built-in nano; find one with "qmesh-node models search", or add a file with "models add"',
      )
    await output.table(toModelRows(found), { isCut: true })
  })
}
