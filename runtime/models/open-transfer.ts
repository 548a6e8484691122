import type { Config } from '../config/index.ts'
import { findRunningModels } from './remote-models.ts'
import { ModelTransfer, type ModelTransferOptions } from './model-transfer.ts'
import type { ModelLibrary } from './model-library.ts'
import type { ModelsPort } from './models.port.ts'
import { openModelSigner } from './open-library.ts'
import { toTransferCaps } from './transfer-caps.ts'

/** Where the hub of Hugging Face is, and who asks: as its own tools have it. */
export const hubOptions = (
  variables: NodeJS.ProcessEnv = process.env,
): NonNullable<ModelTransferOptions['sources']> => ({
  hf: { endpoint: variables['HF_ENDPOINT'], token: variables['HF_TOKEN'] },
})

export interface ModelsAccess {
  readonly port: ModelsPort
  /** A node that goes on when the command is over. */
  readonly isRunning: boolean
  close(): Promise<void>
}

export interface ModelsAccessOptions {
  /** Its caps count only for a transfer of this process: a node that runs has its own. */
  readonly config: Config
  readonly library: ModelLibrary
  /** Whether peers are asked, too; default true. */
  readonly usesPeers?: boolean | undefined
}

/**
 * A way to move models: through the node that runs here, or else through a client that lives as long as the command.
 *
 * @throws QMeshError what starting a client may fail with
 */
export async function openModels(options: ModelsAccessOptions): Promise<ModelsAccess> {
  const { config, library, usesPeers = true } = options
  const running = await findRunningModels(config.dataDir)
  if (running) return { port: running, isRunning: true, close: () => Promise.resolve() }
  if (usesPeers) {
    const { createClient } = await import('../create-node.ts')
    const client = await createClient({ ...config, control: false })
    if (client.models) return { port: client.models, isRunning: false, close: () => client.stop() }
    await client.stop()
  }
  const signer = await openModelSigner(config.dataDir).catch(() => undefined)
  const transfer = new ModelTransfer({ library, signer, sources: hubOptions(), ...toTransferCaps(config) })
  return { port: transfer, isRunning: false, close: () => transfer.close() }
}
