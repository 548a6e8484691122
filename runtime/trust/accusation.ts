import { z } from 'zod'
import { banReasons } from '../../actors/trust/court.ts'
import { type PeerId, QMeshError } from '../../protocol/index.ts'
import {
  checkProof,
  decodeProof,
  encodeProof,
  type FraudProof,
  type NetworkId,
} from '../../protocol/trust/index.ts'
import type { DataDir } from '../data-dir.ts'

const schema = z.object({ proof: z.string().max(4_096) })

const toFile = (networkId: NetworkId): string => `account-${networkId}-banned.json`

/** Keeps what peers hold against this node's own account, for its owner's next start. */
export const keepAccusation = (dataDir: DataDir, networkId: NetworkId, proof: FraudProof): Promise<void> =>
  dataDir.writeState(toFile(networkId), { proof: encodeProof(proof).toString('base64') })

/** Of this node's own account, when peers have shown proof against it before; undefined when they have not. */
export async function readAccusation(
  dataDir: DataDir,
  networkId: NetworkId,
): Promise<FraudProof | undefined> {
  const kept = await dataDir.readState(toFile(networkId), schema)
  if (!kept) return undefined
  try {
    const proof = decodeProof(Buffer.from(kept.proof, 'base64'))
    return checkProof(proof, networkId)?.guilty === dataDir.identity.id ? proof : undefined
  } catch {
    // Damaged: peers will show it again.
    return undefined
  }
}

/** What the owner of a banned account is told. */
export const toBannedError = (accountId: PeerId, { kind }: FraudProof, identityFile: string): QMeshError =>
  new QMeshError(
    'QM_ACCOUNT_BANNED',
    `The account ${accountId} of this node is banned in this mesh: ${banReasons[kind]} That happens when a data directory was copied and both copies ran. A ban has no end: stop the other copy if there is one, move ${identityFile} away or name another --data-dir, and start again with new keys.`,
  )
