import { Argument, type Command } from 'commander'
import {
  configFilePath,
  configKeyNames,
  describeOrigin,
  shownValue,
  toFlag,
  writeExampleFile,
  type LoadedConfig,
} from '../../runtime/config/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import type { AddCommand } from '../command.ts'
import { addConfigFlags, loadCommandConfig, toAttribute } from '../options.ts'
import { note, output } from '../output.ts'

const examples = `
Examples:
  qmesh-node config                     every value in force and where it came from
  qmesh-node config --json | jq .values.port
  qmesh-node config path                where the file is looked for
  qmesh-node config init                write a file with every key explained

Later places win: defaults, the file, QMESH_… variables, flags.`

export const addConfig: AddCommand = (program) => {
  const command = program
    .command('config')
    .description('show the configuration, print the path of its file, or write one')
    .addArgument(new Argument('[what]', 'what to do').choices(['show', 'path', 'init']).default('show'))
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, configKeyNames).action(
    async (what: string, flags: { json?: boolean; config?: string }) => {
      if (what !== 'show') refuseValues(command, what)
      const { path } = configFilePath({ configFile: flags.config })
      if (what === 'init') await writeExampleFile(path)
      if (what !== 'show') return flags.json ? output.json({ path }) : output.line(path)
      const loaded = await loadCommandConfig(command, configKeyNames)
      return flags.json ? output.json(toDocument(loaded)) : print(loaded)
    },
  )
}

/** A value that is given would not come to stand in the file, nor change where it is. */
function refuseValues(command: Command, what: string): void {
  const options = command.opts<Record<string, unknown>>()
  const given = configKeyNames.filter((key) => options[toAttribute(key)] !== undefined).map(toFlag)
  if (given.length === 0) return
  throw new QMeshError('QM_USAGE', `"config ${what}" takes no values: leave ${given.join(', ')} out`)
}

function toDocument({ config, origins, file }: LoadedConfig): object {
  const values = configKeyNames.map((key) => [
    key,
    // `null` rather than nothing: a script should see every key.
    { value: shownValue(key, config[key]) ?? null, source: describeOrigin(origins[key]) },
  ])
  return { file, values: Object.fromEntries(values) }
}

async function print({ config, origins, file }: LoadedConfig): Promise<void> {
  await output.table([
    ['KEY', 'VALUE', 'SOURCE'],
    ...configKeyNames.map((key) => {
      const value = shownValue(key, config[key])
      const text = value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value)
      return [key, text, describeOrigin(origins[key])]
    }),
  ])
  note(`\nfile: ${file.path}${file.exists ? '' : ' (does not exist)'}`)
}
