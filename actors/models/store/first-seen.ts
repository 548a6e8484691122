import { z } from 'zod'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { modelHashSchema, QMeshError, type ModelHash } from '../../../protocol/index.ts'
import { briefly } from './model-lock.ts'
import { readSmall, type StorePaths } from './store-files.ts'

/** Models remembered; beyond it the oldest is forgotten, and whatever comes next is taken as new. */
const entriesMax = 4_096
const bytesMax = 1024 * 1024

const schema = z.record(z.string().max(128), modelHashSchema)

/** What a model without a verified hash turned out to be when it was fetched first: it must not change afterwards. */
export class FirstSeen {
  readonly #paths: StorePaths

  constructor(paths: StorePaths) {
    this.#paths = paths
  }

  /** @throws QMeshError `QM_MODEL_INVALID` when the same sources gave another file before */
  async check(key: string, hash: ModelHash, id: string): Promise<void> {
    const leave = await briefly(this.#paths.lock('first-seen'))
    try {
      const entries = new Map(Object.entries(await this.#read()))
      const known = entries.get(key)
      if (known === hash) return
      if (known !== undefined) {
        throw new QMeshError(
          'QM_MODEL_INVALID',
          `"${id}" has the SHA-256 ${hash}, but its sources gave ${known} the first time: one of the two files is not ` +
            `the real one. If its publisher really replaced it, remove the line from ${this.#paths.firstSeen}`,
        )
      }
      entries.set(key, hash)
      const kept = Object.fromEntries([...entries].slice(-entriesMax))
      await writeFileAtomically(this.#paths.firstSeen, `${JSON.stringify(kept, null, 2)}\n`)
    } finally {
      await leave()
    }
  }

  /** A damaged file must not be taken for an empty one: that would forget every pin. */
  async #read(): Promise<Record<string, ModelHash>> {
    const text = await readSmall(this.#paths.firstSeen, bytesMax)
    if (text === undefined) return {}
    try {
      return schema.parse(JSON.parse(text))
    } catch (error) {
      throw new QMeshError(
        'QM_DATA_DIR_UNUSABLE',
        `${this.#paths.firstSeen} is damaged; correct or remove it`,
        { cause: error },
      )
    }
  }
}
