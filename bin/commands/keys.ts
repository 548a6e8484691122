import { exportKeys, exportKeysAsText, importKeys, showKeys } from '../../runtime/keys.ts'
import type { AddCommand } from '../command.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'

const keys = ['dataDir'] as const
/** A log belongs to one mesh: its secret and its rules say which. */
const logKeys = ['dataDir', 'secret', 'epochSeconds', 'stampBits'] as const

const examples = `
Examples:
  qmesh-node keys show
  qmesh-node keys export ~/qmesh-keys.json
  qmesh-node keys import ~/qmesh-keys.json --data-dir ~/.qmesh
  qmesh-node keys adopt                 when the log of these keys is lost, or never was

The file holds the secret from which all keys of the node are derived: whoever has it can be this node. Keep it as you
keep a password. It is enough to take the node to another machine: its log is fetched from other nodes. Never run the
same keys on two machines at once.`

const adoptHelp = `
A node whose keys were imported, or whose data directory was restored, writes nothing before it found the rest of its log
at other nodes. When there is no rest, because it never was in this mesh or everybody who had it is gone, this says so.
Should a node have it all the same, the next answer proves two histories of one log, and the account is banned for good.`

interface Flags {
  readonly json?: boolean
}

export const addKeys: AddCommand = (program) => {
  const command = program
    .command('keys')
    .description("show, back up or restore this node's keys")
    .addHelpText('after', examples)

  const show = command.command('show').description('print whose keys the data directory holds')
  addConfigFlags(show.option('--json', 'print it as one JSON document'), keys).action(
    async (flags: Flags) => {
      const report = await showKeys(await dataDirOf(show))
      if (flags.json) return output.json(report)
      await output.table([
        ['id', report.id],
        ['file', report.file],
      ])
    },
  )

  const out = command
    .command('export')
    .description('write the keys to a new file that only you can read')
    .argument('<file>', 'the file, which must not exist; - for standard output')
  addConfigFlags(out.option('--json', 'print what was done as one JSON document'), keys).action(
    async (file: string, flags: Flags) => {
      const dataDir = await dataDirOf(out)
      if (file === '-') return output.line((await exportKeysAsText(dataDir)).trimEnd())
      const report = await exportKeys(dataDir, file)
      if (flags.json) return output.json(report)
      note(`the keys of ${report.id} are in ${report.file}: keep it secret`)
    },
  )

  const restore = command
    .command('import')
    .description('make a data directory that of the exported node')
    .argument('<file>', 'what "keys export" wrote')
  addConfigFlags(restore.option('--json', 'print what was done as one JSON document'), keys).action(
    async (file: string, flags: Flags) => {
      const report = await importKeys(file, await dataDirOf(restore))
      if (flags.json) return output.json(report)
      note(`${report.file} holds the keys of ${report.id}`)
    },
  )

  const adopt = command
    .command('adopt')
    .description('go on with the log as it is in the data directory, although more of it is missed')
    .addHelpText('after', adoptHelp)
  addConfigFlags(adopt.option('--json', 'print what was done as one JSON document'), logKeys).action(
    async (flags: Flags) => {
      const { config } = await loadCommandConfig(adopt, logKeys)
      const { adoptLog } = await import('../../runtime/trust/adopt-log.ts')
      const report = await adoptLog(config)
      if (flags.json) return output.json(report)
      const lost = report.lost > 0 ? `; ${report.lost} that it once had are given up` : ''
      note(`the log of ${report.id} has ${report.length} entries from now on${lost}`)
    },
  )
}

const dataDirOf = async (command: Parameters<typeof loadCommandConfig>[0]): Promise<string> =>
  (await loadCommandConfig(command, keys)).config.dataDir
