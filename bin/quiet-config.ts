import { toFlag, type Config, type ConfigKey, type LoadedConfig } from '../runtime/config/index.ts'
import { clientKeys } from './options.ts'

/**
 * The flags of this command line that say how to ask: in which mesh, whom, with how much of this machine. A node that runs
 * here was told something else, or nothing, when it was started.
 */
export const askingFlags = (loaded: LoadedConfig): readonly string[] =>
  givenFlags(
    loaded,
    clientKeys.filter((key) => key !== 'dataDir' && key !== 'logLevel'),
  )

/** Those of these keys that the command line gives, as it was written. */
export const givenFlags = ({ config, origins }: LoadedConfig, keys: readonly ConfigKey[]): string[] =>
  keys
    .filter((key) => origins[key].kind === 'flag')
    .map((key) => (config[key] === false ? toFlag(key).replace('--', '--no-') : toFlag(key)))

/** Whether the command line itself says which mesh is meant. */
export const isMeshNamed = ({ origins }: LoadedConfig): boolean =>
  origins.bootstrap.kind === 'flag' || origins.secret.kind === 'flag'

/** A command that answers and leaves says itself what failed; the log is for whoever asks for it. */
export const quietConfig = ({ config, origins }: LoadedConfig): Config =>
  origins.logLevel.kind === 'default' ? { ...config, logLevel: 'fatal' } : config
