import type { Config, LoadedConfig } from '../runtime/config/index.ts'

/** A command that answers and leaves says itself what failed; the log is for whoever asks for it. */
export const quietConfig = ({ config, origins }: LoadedConfig): Config =>
  origins.logLevel.kind === 'default' ? { ...config, logLevel: 'fatal' } : config
