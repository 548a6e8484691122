import type { Config } from '../config/index.ts'
import type { ModelTransferOptions } from './model-transfer.ts'

/** Keys of the configuration that say how much may be moved, for whom and from whom. */
export const transferCapKeys = [
  'modelsSeed',
  'modelsUploadRate',
  'modelsDownloadRate',
  'modelsPeersMax',
  'modelsSeeders',
] as const

const megabyte = 1_000_000

/** What the configuration allows, as a transfer takes it. */
export const toTransferCaps = (
  config: Pick<Config, (typeof transferCapKeys)[number]>,
): Pick<
  ModelTransferOptions,
  'seeds' | 'uploadBytesPerSecond' | 'downloadBytesPerSecond' | 'readersMax' | 'seeders'
> => ({
  seeds: config.modelsSeed,
  uploadBytesPerSecond: (config.modelsUploadRate ?? 0) * megabyte,
  downloadBytesPerSecond: (config.modelsDownloadRate ?? 0) * megabyte,
  readersMax: config.modelsPeersMax,
  seeders: config.modelsSeeders.length > 0 ? new Set(config.modelsSeeders) : undefined,
})
