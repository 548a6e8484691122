import { toCredit, toScore } from '../../machines/trust/index.ts'
import { hash256 } from '../../protocol/trust/index.ts'
import type { Mesh } from './mesh.ts'
import type { SimAccount, SimNode } from './sim-node.ts'

/** What still differs between honest nodes: their tables, their bans, or how far they read. */
export function findDifference(mesh: Mesh): 'digest' | 'bans' | 'logs' | undefined {
  const [first, ...others] = mesh.honest
  if (!first) return undefined
  const digest = first.digest.join()
  const { root } = first.books.bans
  if (others.some((node) => node.digest.join() !== digest)) return 'digest'
  if (others.some((node) => node.books.bans.root !== root || node.bansKey !== first.bansKey)) return 'bans'
  const open = toOpen(mesh)
  const isBehind = (node: SimNode): boolean =>
    open.some(({ index }) => node.read[index] !== node.heads[index]?.length)
  return mesh.honest.some(isBehind) ? 'logs' : undefined
}

/**
 * How many different tables of scores honest nodes compute from what they read, for an epoch at which all that was dealt
 * is final.
 */
export function countScoreTables(mesh: Mesh): number {
  const { honest, params } = mesh
  const atEpoch = mesh.epoch + params.finalityEpochs
  const open = toOpen(mesh)
  // Nodes that read the same share the computation.
  const tables = new Map<string, string>()
  for (const { books, readLogs, read } of honest) {
    const { bans } = books
    const logs = open.map(({ index }) => ({ log: readLogs[index], length: read[index] ?? 0 }))
    const inputs = hash(logs.map(({ log, length }) => log?.treeHashes[length - 1] ?? ''))
    const key = `${bans.root} ${inputs}`
    if (tables.has(key)) continue
    const lines = logs.map(({ log, length }) =>
      log ? toScore(log.stateAt(length), atEpoch, { bans, params }).values.join() : '',
    )
    tables.set(key, hash(lines))
  }
  return new Set(tables.values()).size
}

/**
 * Balances, what is not vested, and what was burned, of all logs together. They cancel out where every payment is in
 * both logs, whatever the epoch.
 */
export function toMinted({ accounts, epoch, params }: Mesh): number {
  let minted = 0
  for (const { logs } of accounts) {
    const [log] = logs
    if (!log) continue
    const { balance, pending, burned } = toCredit(log.state, epoch, params)
    minted += balance + pending + burned
  }
  return minted
}

/**
 * Accounts that no honest node bans. Who bans an account, also for what it saw itself, reads no further in its log and
 * passes nothing of it on, so there nodes may differ.
 */
function toOpen({ honest, accounts }: Mesh): readonly SimAccount[] {
  const banned = new Set(honest.flatMap(({ books }) => books.banRecords.map(({ accountId }) => accountId)))
  return accounts.filter(({ signer }) => !banned.has(signer.id))
}

const hash = (lines: readonly string[]): string => hash256(Buffer.from(lines.join('\n'))).toString('hex')
