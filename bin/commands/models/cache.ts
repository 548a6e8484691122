import { QMeshError } from '../../../runtime/error-report.ts'
import { addModelAction, toSize, type AddModelCommand } from '../../model-commands.ts'
import { toNumber } from '../../options.ts'
import { note, output } from '../../output.ts'

interface Flags {
  readonly prune?: boolean
  readonly limitGb?: string
  readonly clear?: boolean
  readonly json?: boolean
}

const gigabyte = 1_000_000_000

export const addCache: AddModelCommand = (models, exit) => {
  const command = models
    .command('cache')
    .description('show what the models take on the disk, or make room')
    .option('--prune', 'remove what was not used for longest, until the limit is kept')
    .option('--limit-gb <number>', 'with --prune: the limit (default: modelsCacheGb of the configuration)')
    .option('--clear', 'remove what was begun and not finished, and what failed a check')
  addModelAction(command, exit, 'reading', async ({ library, tellNode }, flags: Flags) => {
    const limit = toNumber('--limit-gb', flags.limitGb, 0, 1_000_000)
    if (limit !== undefined && !flags.prune) {
      throw new QMeshError('QM_USAGE', '--limit-gb says how far --prune goes: add --prune, or leave it out')
    }
    if (flags.clear) await library.clear()
    const pruned = flags.prune ? await library.prune(limit === undefined ? undefined : limit * gigabyte) : []
    if (pruned.length > 0) await tellNode()
    const report = await library.cache()
    if (flags.json) return output.json({ ...report, pruned })
    for (const { id, bytes } of pruned) note(`removed "${id}", ${toSize(bytes)}`)
    if (flags.prune && pruned.length === 0) note('nothing had to go')
    await output.table([
      ['folder', report.dir],
      ['models', `${report.models}, ${toSize(report.bytes)}`],
      ['limit', report.limitBytes === null ? 'none' : toSize(report.limitBytes)],
      ['in place', `${report.references.count}, ${toSize(report.references.bytes)}, not counted`],
      ['unfinished', `${report.unfinished.count}, ${toSize(report.unfinished.bytes)}`],
      ['quarantine', `${report.quarantined.count}, ${toSize(report.quarantined.bytes)}`],
    ])
  })
}
