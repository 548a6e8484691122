import { join } from 'node:path'
import type { HashCachePort } from '../../actors/inference/hash-cache.port.ts'
import { QMeshError } from '../../protocol/index.ts'
import { modelsNetworkId } from '../../protocol/models/index.ts'
import { createSigner, type TrustSigner } from '../../protocol/trust/index.ts'
import type { Config } from '../config/index.ts'
import { identityFileName, readIdentity } from '../identity.ts'
import { ModelLibrary, type ModelLibraryOptions } from './model-library.ts'

const gigabyte = 1_000_000_000

/** Where the configuration says that models lie. */
export const modelsDirOf = ({ dataDir, modelsDir }: Pick<Config, 'dataDir' | 'modelsDir'>): string =>
  modelsDir ?? join(dataDir, 'models')

/**
 * The models of this machine as the configuration has it. Works beside a running node: the store is made for several
 * processes.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE`, `QM_CONFIG_INVALID`, `QM_IDENTITY_EXPOSED`, `QM_IDENTITY_INVALID`
 */
export async function openModelLibrary(
  config: Pick<Config, 'dataDir' | 'modelsDir' | 'modelsCacheGb' | 'trustedPublishers'>,
  options: { readonly hashCache?: HashCachePort; readonly log?: ModelLibraryOptions['log'] } = {},
): Promise<ModelLibrary> {
  const { modelsCacheGb, trustedPublishers } = config
  const identity = await readIdentity(join(config.dataDir, identityFileName))
  return ModelLibrary.open({
    dir: modelsDirOf(config),
    limitBytes: modelsCacheGb === undefined ? undefined : modelsCacheGb * gigabyte,
    publishers: trustedPublishers,
    ownKey: identity?.id,
    ...options,
  })
}

/**
 * Signs manifests in the name of the node that the data directory belongs to.
 *
 * @throws QMeshError `QM_KEYS_INVALID` when it has no keys yet; `QM_IDENTITY_EXPOSED`, `QM_IDENTITY_INVALID`
 */
export async function openModelSigner(dataDir: string): Promise<TrustSigner> {
  const identity = await readIdentity(join(dataDir, identityFileName))
  if (identity) return createSigner(modelsNetworkId, identity.noiseKeyPair())
  throw new QMeshError(
    'QM_KEYS_INVALID',
    `${dataDir} holds no keys to sign with: "qmesh-node up" makes them, "qmesh-node keys import <file>" restores them`,
  )
}
