import { rm } from 'node:fs/promises'
import { LogStore } from '../../actors/trust/log/log-store.ts'
import { type PeerId, toQMeshError } from '../../protocol/index.ts'
import type { Config } from '../config/index.ts'
import { openDataDir } from '../data-dir.ts'
import { importedFileName, showKeys } from '../keys.ts'
import { toOwnAccount } from './own-account.ts'

/** What the owner declared to be the whole log. */
export interface AdoptReport {
  readonly id: PeerId
  readonly networkId: string
  /** Entries that there are. */
  readonly length: number
  /** Entries that were acknowledged once and are given up. */
  readonly lost: number
}

/**
 * Takes the node's log as it is in its data directory for the whole of it, although there may be more of it elsewhere:
 * for when that is lost. If a peer holds more, the next entry forks the log, and the account is banned.
 *
 * @throws QMeshError `QM_KEYS_INVALID` when there are no keys; `QM_DATA_DIR_LOCKED` while the node runs; `QM_LOG_FORKED`
 *   when two histories of the log exist; `QM_LOG_DAMAGED`
 */
export async function adoptLog(config: Config): Promise<AdoptReport> {
  await showKeys(config.dataDir)
  const dataDir = await openDataDir(config.dataDir)
  try {
    const { identity } = dataDir
    const { networkId, logs, counter } = toOwnAccount(dataDir, config)
    const store = await LogStore.open(logs)
    try {
      const log = await store.own(identity.logKeyPair(networkId), counter)
      const acknowledged = log.acknowledged?.length ?? 0
      await log.adopt()
      const { length } = log
      await rm(dataDir.file(importedFileName), { force: true })
      return { id: identity.id, networkId, length, lost: Math.max(0, acknowledged - length) }
    } finally {
      await store.close()
    }
  } catch (error) {
    throw toQMeshError(error, 'QM_LOG_DAMAGED')
  } finally {
    await dataDir.close()
  }
}
