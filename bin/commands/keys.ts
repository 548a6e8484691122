import { exportKeys, exportKeysAsText, importKeys, showKeys } from '../../runtime/keys.ts'
import type { AddCommand } from '../command.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'

const keys = ['dataDir'] as const

const examples = `
Examples:
  qmesh-node keys show
  qmesh-node keys export ~/qmesh-keys.json
  qmesh-node keys import ~/qmesh-keys.json --data-dir ~/.qmesh

The file holds the secret from which all keys of the node are derived: whoever has it can be this node. Keep it as you
keep a password. It is enough to take the node to another machine: its log is fetched from other nodes. Never run the
same keys on two machines at once.`

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
}

const dataDirOf = async (command: Parameters<typeof loadCommandConfig>[0]): Promise<string> =>
  (await loadCommandConfig(command, keys)).config.dataDir
