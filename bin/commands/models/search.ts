import { addModelAction, toModelRows, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

export const addSearch: AddModelCommand = (models, exit) => {
  const command = models
    .command('search')
    .description('search the models of this machine and of the catalogs; without words, list all of them')
    .argument('[words...]', 'words of the id, the name, the tags or the description')
  addModelAction(
    command,
    exit,
    'searching',
    async ({ library }, words: readonly string[], flags: { json?: boolean }) => {
      const found = library.search(words.join(' '))
      if (flags.json) return output.json(found)
      if (found.length === 0) return note(`no model has to do with "${words.join(' ')}"`)
      await output.table(toModelRows(found), { isCut: true })
    },
  )
}
