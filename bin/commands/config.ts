import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Argument } from 'commander'
import {
  configFilePath,
  configKeyNames,
  describeOrigin,
  renderExampleFile,
  shownValue,
  type LoadedConfig,
} from '../../runtime/config/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import type { AddCommand } from '../command.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
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
      const { path } = configFilePath({ configFile: flags.config })
      if (what === 'path') return flags.json ? output.json({ path }) : output.line(path)
      if (what === 'init') return init(path)
      const loaded = await loadCommandConfig(command, configKeyNames)
      return flags.json ? output.json(toDocument(loaded)) : print(loaded)
    },
  )
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

async function init(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    // It may come to hold the secret of a mesh.
    await writeFile(path, renderExampleFile(), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new QMeshError(
      'QM_USAGE',
      `${path} exists already and is not overwritten; name another file with --config`,
      { cause: error },
    )
  }
  await output.line(path)
}
