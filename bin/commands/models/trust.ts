import { addModelAction, type AddModelCommand } from '../../model-commands.ts'
import { note, output } from '../../output.ts'

export const addTrust: AddModelCommand = (models, exit) => {
  const command = models
    .command('trust')
    .description('take the word of a publisher on models; without a key, show whose word counts')
    .argument('[key]', 'the key of the publisher: 64 hex characters')
    .option('--off', 'trust it no longer')
  addModelAction(
    command,
    exit,
    'reading',
    async ({ library, tellNode }, key: string | undefined, flags: { off?: boolean; json?: boolean }) => {
      if (key !== undefined) {
        if (flags.off) await library.distrust(key.toLowerCase())
        else await library.trust(key.toLowerCase())
      }
      if (key !== undefined) await tellNode()
      const catalogs = new Map(library.catalogs().map((catalog) => [catalog.publisher, catalog]))
      const publishers = await library.publishers()
      if (flags.json)
        return output.json(
          publishers.map((publisher) => ({ publisher, catalog: catalogs.get(publisher) ?? null })),
        )
      if (key !== undefined) return note(`${key} is ${flags.off ? 'not trusted any more' : 'trusted'}`)
      if (publishers.length === 0) return note('no publisher is trusted yet; "models trust <key>" adds one')
      await output.table(
        publishers.map((publisher) => {
          const catalog = catalogs.get(publisher)
          const models = catalog?.models === 1 ? '1 model' : `${catalog?.models} models`
          return [publisher, catalog ? `catalog version ${catalog.version}, ${models}` : 'no catalog yet']
        }),
      )
    },
  )
}
