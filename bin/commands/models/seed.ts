import { once } from 'node:events'
import { Option } from 'commander'
import { QMeshError } from '../../../runtime/error-report.ts'
import type { SeedStatus } from '../../../runtime/models/models.port.ts'
import { shortHash, toSize, type AddModelCommand } from '../../model-commands.ts'
import { toNumber } from '../../options.ts'
import { note, output } from '../../output.ts'
import { addTransferAction, type TransferFlags } from '../../transfer-action.ts'

interface Flags extends TransferFlags {
  readonly stop?: boolean
  readonly list?: boolean
  readonly giveMax?: string
}

const gigabyte = 1_000_000_000

export const addSeed: AddModelCommand = (models, exit) => {
  const command = models
    .command('seed')
    .description('offer models of this machine to other nodes, from where they lie')
    .argument('[models...]', 'ids or beginnings of hashes; none: all of this machine')
    .addOption(new Option('--stop', 'offer them no more').conflicts(['list', 'giveMax']))
    .addOption(new Option('--list', 'only show what is offered, and what was given').conflicts('giveMax'))
    .option('--give-max <GB>', 'stop after so many gigabytes')
  addTransferAction(command, exit, async ({ access, signal }, names: readonly string[], flags: Flags) => {
    const { port, isRunning } = access
    const giveMax = toNumber('--give-max', flags.giveMax, 0.001, 1_000_000)
    if (!isRunning && (flags.stop || flags.list)) {
      throw new QMeshError(
        'QM_NODE_NOT_RUNNING',
        'no node is running on this data directory, so nothing is offered; start one with: qmesh-node up',
      )
    }
    const change = (): Promise<readonly SeedStatus[]> => {
      if (flags.list) return port.seeds()
      if (flags.stop) return port.unseed(names)
      return port.seed(names, giveMax && Math.round(giveMax * gigabyte))
    }
    const seeds = await change()
    if (flags.json) await output.json(seeds)
    else await output.table(toRows(seeds))
    if (isRunning) return
    note('offering them until Ctrl-C')
    if (!signal.aborted) await once(signal, 'abort')
    const given = (await port.seeds()).reduce((sum, { bytes }) => sum + bytes, 0)
    note(`${toSize(given)} were given`)
  })
}

const toRows = (seeds: readonly SeedStatus[]): readonly (readonly string[])[] => [
  ['MODEL', 'HASH', 'STATE', 'GIVEN', 'PEERS'],
  ...seeds.map(({ id, hash, state, pausedBy, bytes, peers }) => [
    id,
    shortHash(hash),
    pausedBy.length > 0 ? `${state}: ${pausedBy.join(', ')}` : state,
    toSize(bytes),
    String(peers),
  ]),
]
