import { join } from 'node:path'
import { z } from 'zod'
import { peerIdSchema, QMeshError, toQMeshError, type PeerId } from '../../protocol/index.ts'
import { modelLimits } from '../../protocol/models/index.ts'
import { isValidKey } from '../../protocol/trust/index.ts'
import { writeFileAtomically } from '../../actors/files/atomic-file.ts'
import { readSmallFile } from '../../actors/files/small-file.ts'

const schema = z.array(peerIdSchema).max(modelLimits.publishersMax)
const bytesMax = 64 * 1024

/** The keys that `models trust` added: a file beside the models, because commands do not write the configuration. */
export class Publishers {
  readonly #path: string

  constructor(modelsDir: string) {
    this.#path = join(modelsDir, 'trusted-publishers.json')
  }

  /** @throws QMeshError `QM_CONFIG_INVALID` for a damaged file: trusting nobody instead would be silent */
  async list(): Promise<readonly PeerId[]> {
    try {
      return schema.parse(JSON.parse(await readSmallFile(this.#path, bytesMax)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw new QMeshError('QM_CONFIG_INVALID', `${this.#path} is damaged; correct or remove it`, {
        cause: error,
      })
    }
  }

  /** @throws QMeshError `QM_USAGE` for what is no key, or one too many */
  async add(key: string): Promise<void> {
    if (!isValidKey(key))
      throw new QMeshError('QM_USAGE', `"${key.slice(0, 80)}" is not an Ed25519 key of 64 hex characters`)
    const keys = [...new Set([...(await this.list()), key])]
    if (keys.length > modelLimits.publishersMax)
      throw new QMeshError(
        'QM_USAGE',
        `${modelLimits.publishersMax} publishers are trusted already; remove one first`,
      )
    await this.#write(keys)
  }

  /** @returns whether it was there */
  async remove(key: PeerId): Promise<boolean> {
    const keys = await this.list()
    if (!keys.includes(key)) return false
    await this.#write(keys.filter((known) => known !== key))
    return true
  }

  async #write(keys: readonly PeerId[]): Promise<void> {
    try {
      await writeFileAtomically(this.#path, `${JSON.stringify(keys, null, 2)}\n`)
    } catch (error) {
      throw toQMeshError(error, 'QM_DATA_DIR_UNUSABLE')
    }
  }
}
