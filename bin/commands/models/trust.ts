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
    async ({ library }, key: string | undefined, flags: { off?: boolean; json?: boolean }) => {
      if (key !== undefined) {
        if (flags.off) await library.distrust(key.toLowerCase())
        else await library.trust(key.toLowerCase())
      }
      const publishers = await library.publishers()
      if (flags.json) return output.json(publishers)
      if (key !== undefined) return note(`${key} is ${flags.off ? 'not trusted any more' : 'trusted'}`)
      if (publishers.length === 0) return note('no publisher is trusted yet; "models trust <key>" adds one')
      for (const publisher of publishers) await output.line(publisher)
    },
  )
}
