import type { Config, LoadedConfig } from '../runtime/config/index.ts'

/** Whether the command line itself says which mesh is meant. */
export const isMeshNamed = ({ origins }: LoadedConfig): boolean =>
  origins.bootstrap.kind === 'flag' || origins.secret.kind === 'flag'

/** A command that answers and leaves says itself what failed; the log is for whoever asks for it. */
export const quietConfig = ({ config, origins }: LoadedConfig): Config =>
  origins.logLevel.kind === 'default' ? { ...config, logLevel: 'fatal' } : config
