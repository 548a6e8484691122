import { regimeTerms } from '../../machines/trust/regime.ts'
import { encodeEntry, type Head, headFormat } from '../../protocol/trust/index.ts'
import { Dealing } from './dealing.ts'
import { GossipModel } from './gossip-model.ts'
import { Mesh } from './mesh.ts'
import type { Notary } from './notary.ts'
import { startGossip } from './run.ts'
import { randomHex } from './trade.ts'

export interface CalmResult {
  readonly nodes: number
  /** Bytes per node and second that heads, digests and lists take. */
  readonly gossipRate: number
  /** The same for the logs, which every node reads in full: bytes of one request in two logs, times the requests. */
  readonly logRate: number
}

/** Entries of a log that has been around for a while: one more is not worth telling at once. */
const matureEntries = 10_000
/** Answers that a node gives in a minute, and takes. */
export const calmRequestsPerMinute = 20
/** The interval after which a head is told, twice: once for all to have begun, and once that counts. */
const warmUpEpochs = 10
const measuredEpochs = 10

export interface CalmInput {
  readonly nodes: number
  readonly seed: number
  readonly notary: Notary
  readonly pause?: () => Promise<void>
}

/** A mesh in which nothing happens but work: mature logs that grow, rounds, and heads when their interval is over. */
export async function runCalm(input: CalmInput): Promise<CalmResult> {
  const mesh = new Mesh({ ...input, misbehaving: 0, strategies: [] })
  const { clock, net } = mesh
  const gossip = new GossipModel(mesh)
  const { roundMs } = regimeTerms.calm
  const gossipers = startGossip(mesh, gossip, (node) => mesh.node(node.index).heads[node.index])
  // Nodes tell their heads at moments of their own, spread over the whole interval.
  const firstEpochs = mesh.accounts.map(() => Math.floor(mesh.random() * measuredEpochs))
  await gossipers.start(roundMs)
  for (let epoch = 0; epoch < warmUpEpochs + measuredEpochs; epoch++) {
    if (epoch === warmUpEpochs) net.reset()
    for (const { index } of mesh.accounts) {
      if (epoch < (firstEpochs[index] ?? 0)) continue
      clock.after(mesh.random() * roundMs, () => {
        const length = matureEntries + 2 * calmRequestsPerMinute * epoch
        mesh.node(index).takeHead(index, toAnyHead(mesh, index, length))
        gossipers.grew(index, length)
      })
    }
    await clock.runUntil(clock.nowMs + roundMs)
  }
  gossipers.stop()
  const seconds = (measuredEpochs * roundMs) / 1_000
  const gossipBytes = net.sent.gossip.reduce((sum, bytes) => sum + bytes, 0)
  return {
    nodes: input.nodes,
    gossipRate: gossipBytes / seconds / input.nodes,
    logRate: (requestBytes(mesh) * calmRequestsPerMinute * mesh.accounts.length) / 60,
  }
}

/** Of a log of which nobody reads the entries. */
function toAnyHead(mesh: Mesh, account: number, length: number): Head {
  const { signer } = mesh.account(account)
  const treeHash = randomHex(32, mesh.random)
  return headFormat.sign(signer, { accountId: signer.id, epoch: mesh.epoch, length, treeHash })
}

/** Of the receipt in the worker's log and the payment in the client's. */
function requestBytes(mesh: Mesh): number {
  const { receipt, paid } = new Dealing(mesh).make({ client: 0, worker: 1 })
  const { epoch } = mesh
  return (
    encodeEntry({ type: 'receipt', epoch, receipt }).length +
    (paid === undefined ? 0 : encodeEntry(paid).length)
  )
}
