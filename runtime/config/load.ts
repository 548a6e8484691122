import { checkEngine } from './engine.ts'
import {
  configKeyNames,
  configKeys,
  toVariable,
  type Config,
  type ConfigInput,
  type ConfigKey,
} from './keys.ts'
import { flagOrigin, variableOrigin, type Origin } from './origin.ts'
import { defaultConfigFile, toAbsolutePath } from './paths.ts'
import { fromFlag, fromText } from './text.ts'
import { findTracesEndpoint } from './traces-endpoint.ts'
import { readTomlFile } from './toml-file.ts'
import { checkEntry, refuse, unknownKey, type RawEntry } from './validate.ts'

/**
 * The configuration is put together in one order: defaults, then the file, then `QMESH_…` variables, then flags; a
 * later source replaces a key's whole value, lists included. Every source is checked on its own first, so that a bad
 * value is reported where it was written even if something later would have hidden it.
 */
export interface ConfigSources {
  /** Values of flags by key, as text, list of text or boolean. */
  readonly flags?: Readonly<Partial<Record<ConfigKey, unknown>>> | undefined
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Given by `--config`; wins over `QMESH_CONFIG`. Must exist. */
  readonly configFile?: string | undefined
  readonly cwd?: string | undefined
}

export interface LoadedConfig {
  readonly config: Config
  readonly origins: Readonly<Record<ConfigKey, Origin>>
  /** Path of the file that was read, or would have been, and whether it was there. */
  readonly file: { readonly path: string; readonly exists: boolean }
}

/** Variables with our prefix that are not keys; `QMESH_URL` is a program's that asks a gateway. What starts with `QMESH_TEST_` belongs to the test suite. */
const otherVariables = new Set(['QMESH_CONFIG', 'QMESH_DEBUG', 'QMESH_URL'])

/** Where the file is, and whether somebody asked for it by name. */
export function configFilePath(sources: Pick<ConfigSources, 'configFile' | 'env' | 'cwd'> = {}) {
  const { env = process.env, cwd = process.cwd() } = sources
  const asked = sources.configFile ?? (env['QMESH_CONFIG'] || undefined)
  return {
    path: asked === undefined ? defaultConfigFile() : toAbsolutePath(asked, cwd),
    isAsked: asked !== undefined,
  }
}

/**
 * The configuration as the command line puts it together: the file, the `QMESH_…` variables and, where there are some, flags.
 *
 * @throws QMeshError `QM_CONFIG_SYNTAX`, `QM_CONFIG_INVALID` naming key, source, what was expected and what came
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<LoadedConfig> {
  const { flags = {}, env = process.env, cwd = process.cwd() } = sources
  const { path, isAsked } = configFilePath(sources)
  const fromFile = await readTomlFile(path, isAsked)
  const fromEnv = readVariables(env, cwd)
  const fromFlags = configKeyNames
    .filter((key) => flags[key] !== undefined)
    .map((key): RawEntry => ({
      key,
      value: fromFlag(key, flags[key]),
      origin: flagOrigin(key),
      baseDir: cwd,
    }))
  const { config, origins } = merge(
    [...(fromFile?.entries ?? []), ...fromEnv.entries, ...fromFlags],
    [...(fromFile?.problems ?? []), ...fromEnv.problems],
  )
  return { config, origins, file: { path, exists: fromFile !== undefined } }
}

/**
 * The configuration of a node inside another program: defaults and the options given, no file and no variables.
 *
 * @throws QMeshError `QM_CONFIG_INVALID`
 */
export function configFromOptions(options: ConfigInput = {}): Config {
  const entries: RawEntry[] = []
  const problems: string[] = []
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    if ((configKeyNames as string[]).includes(name)) {
      entries.push({ key: name as ConfigKey, value, origin: { kind: 'option' }, baseDir: process.cwd() })
    } else problems.push(unknownKey(name, { kind: 'option' }, name))
  }
  return merge(entries, problems).config
}

function merge(entries: readonly RawEntry[], problems: readonly string[]) {
  const values: Record<string, unknown> = {}
  const origins: Partial<Record<ConfigKey, Origin>> = {}
  for (const key of configKeyNames) {
    const entry = configKeys[key]
    values[key] = 'default' in entry ? entry.default() : undefined
    origins[key] = { kind: 'default' }
  }
  const found = [...problems]
  for (const raw of entries) {
    const checked = checkEntry(raw)
    if (checked.ok) {
      values[raw.key] = checked.value
      origins[raw.key] = raw.origin
    } else found.push(checked.problem)
  }
  refuse(found)
  // Who brings a model of another program did not ask for the small one as well.
  if (values['engine'] !== 'llama' && origins.models?.kind === 'default') values['models'] = []
  values['serveAll'] ??= values['engine'] === 'llama' && origins.models?.kind === 'default'
  refuse(checkEngine(values as Config))
  return { config: values as Config, origins: origins as Record<ConfigKey, Origin> }
}

function readVariables(env: Readonly<Record<string, string | undefined>>, baseDir: string) {
  const entries: RawEntry[] = []
  const problems: string[] = []
  // A variable set to nothing is one that is not set: that is how compose files and shells switch one off.
  const plain = env['GPU_LAYERS']
  if (plain) {
    const origin: Origin = { kind: 'variable', name: 'GPU_LAYERS' }
    entries.push({ key: 'gpuLayers', value: fromText('gpuLayers', plain), origin, baseDir })
  }
  const traces = findTracesEndpoint(env)
  if (traces) {
    const origin: Origin = { kind: 'variable', name: traces.name }
    const entry: RawEntry = { key: 'tracesEndpoint', value: traces.endpoint, origin, baseDir }
    // It may be meant for other programs, and for another way to send: that keeps no command from running.
    if (checkEntry(entry).ok) entries.push(entry)
  }
  const known = new Map(configKeyNames.map((key) => [toVariable(key), key]))
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('QMESH_') || !text || otherVariables.has(name) || name.startsWith('QMESH_TEST_'))
      continue
    const key = known.get(name)
    if (key) entries.push({ key, value: fromText(key, text), origin: variableOrigin(key), baseDir })
    else problems.push(unknownKey(name, { kind: 'variable', name }, name, [...known.keys()]))
  }
  return { entries, problems }
}
