import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { LogCounter, LogMark } from '../../actors/trust/log/log-counter.ts'
import { genesisParams, toNetworkId, type TrustParams } from '../../machines/trust/index.ts'
import { limits, peerIdSchema } from '../../protocol/index.ts'
import type { NetworkId } from '../../protocol/trust/index.ts'
import type { Config } from '../config/index.ts'
import type { DataDir } from '../data-dir.ts'
import { importedFileName } from '../keys.ts'

/** Where a node keeps what belongs to its account in one network of evidence. */
export interface OwnAccount {
  readonly params: TrustParams
  readonly networkId: NetworkId
  /** Folders of the logs and of the index. */
  readonly logs: string
  readonly index: string
  /** Beside the logs, so that one that was restored from a backup shows. */
  readonly counter: LogCounter
}

/** Folder of logs and index, one for each network that this node is in. */
const folderName = 'accounts'

export function toOwnAccount(dataDir: DataDir, config: Config): OwnAccount {
  const params = toParams(config)
  const networkId = toNetworkId(params, config.secret)
  const folder = join(dataDir.path, folderName, networkId)
  const name = `account-${networkId}.json`
  return {
    params,
    networkId,
    logs: join(folder, 'logs'),
    index: join(folder, 'index'),
    counter: {
      read: () => dataDir.readState(name, markSchema),
      write: (mark: LogMark) => dataDir.writeState(name, mark),
    },
  }
}

/** Whether the keys were in use on another machine, so that there may be a log of theirs that is not here. */
export const areKeysImported = async (dataDir: DataDir): Promise<boolean> =>
  (await dataDir.readState(importedFileName, importedSchema)) !== undefined

/** The log of the keys is here: from now on this is where they are used. Never rejects; a later start tries again. */
export const forgetImport = (dataDir: DataDir): Promise<void> =>
  rm(dataDir.file(importedFileName), { force: true }).catch(() => undefined)

/** The rules of the mesh: the built-in ones, with what its members may choose. */
const toParams = ({ epochSeconds, stampBits }: Config): TrustParams => ({
  ...genesisParams,
  epochSeconds,
  stampBits,
  epochsPerDay: Math.floor(86_400 / epochSeconds),
})

const importedSchema = z.object({ id: peerIdSchema })

const markSchema = z.object({
  length: z.number().int().min(0).max(limits.logLengthMax),
  treeHash: z.string().regex(/^[0-9a-f]{64}$/),
})
