import { join } from 'node:path'
import { z } from 'zod'
import { AccountCache } from '../../actors/trust/account-cache.ts'
import { Deals } from '../../actors/trust/deals.ts'
import { Earnings } from '../../actors/trust/earnings.ts'
import { Gossip } from '../../actors/trust/gossip/gossip.ts'
import { createGossiperActors } from '../../actors/trust/gossip/gossiper.adapter.ts'
import { IndexStore } from '../../actors/trust/index-store.ts'
import { Ledger } from '../../actors/trust/ledger.ts'
import type { LogCounter, LogMark } from '../../actors/trust/log-counter.ts'
import { LogStore } from '../../actors/trust/log-store.ts'
import type { NewEntry } from '../../actors/trust/own-log.ts'
import { gossiperMachine } from '../../machines/trust/gossiper.machine.ts'
import { genesisParams, toNetworkId, type TrustParams } from '../../machines/trust/index.ts'
import { limits, type PeerId, peerIdSchema } from '../../protocol/index.ts'
import { createSigner, decodeEntry, encodeEntry, toName } from '../../protocol/trust/index.ts'
import type { Config } from '../config/index.ts'
import type { DataDir } from '../data-dir.ts'
import { importedFileName } from '../keys.ts'
import type { Logger } from '../logger.ts'

export interface TrustSideOptions {
  readonly dataDir: DataDir
  readonly config: Config
  readonly logger: Logger
  readonly isWorker: boolean
  /** Proof was found that an account broke the rules: it is to be cut off. */
  readonly onBanned: (accountId: PeerId) => void
  /** A peer sent something on the scores network that no honest peer sends. */
  readonly onViolation: (peerId: PeerId) => void
}

/** What a node knows of work and credit, and where it signs for its own. */
export interface TrustSide {
  readonly ledger: Ledger
  readonly deals: Deals
  readonly earnings: Earnings
  readonly gossip: Gossip
  /** Milliseconds of an epoch. */
  readonly epochMs: number
  /** Milliseconds that peers have, at the start, to say what they hold of the own log. */
  readonly checkWaitMs: number
  /** The actor that keeps others' books and this one's alike, over the connections there are. */
  readonly gossiper: typeof gossiperMachine
  /** The own log grew to so many entries. */
  onGrown: (length: number) => void
  close(): Promise<void>
}

/** Folder of logs and index, one for each network that this node is in. */
const folderName = 'accounts'

/**
 * Opens the books of this node.
 *
 * @throws QMeshError `QM_LOG_DAMAGED`
 */
export async function openTrustSide(options: TrustSideOptions): Promise<TrustSide> {
  const { dataDir, config, logger, isWorker } = options
  const { identity } = dataDir
  const params = toParams(config)
  const networkId = toNetworkId(params, config.secret)
  const signer = createSigner(networkId, identity.noiseKeyPair())
  const folder = join(dataDir.path, folderName, networkId)
  const wallMs = (): number => Date.now()

  const conflicts = { tell: (_logKey: string): void => {} }
  const store = await LogStore.open(join(folder, 'logs'), {
    onProblem: (error) => logger.error({ code: error.code }, error.message),
    onConflict: ({ logKey }) => conflicts.tell(logKey),
  })
  try {
    const logKeys = identity.logKeyPair(networkId)
    const log = await store.own(logKeys, createCounter(dataDir, networkId))
    const index = await IndexStore.open(join(folder, 'index'), {
      onEmptied: (reason) =>
        logger.info({ reason }, 'the index of accounts is empty: it is filled from the logs'),
    })
    const epochMs = 1_000 * params.epochSeconds
    const isImported = (await dataDir.readState(importedFileName, importedSchema)) !== undefined
    const grown: { tell: TrustSide['onGrown'] } = { tell: () => {} }
    const gossip = new Gossip({
      networkId,
      now: () => performance.now(),
      random: Math.random,
      onViolation: (peerId, code, detail) => {
        logger.debug({ peerId, code, detail }, 'a peer broke the rules of the scores network')
        options.onViolation(peerId)
      },
      onDefect: (error) => logger.error({ err: error }, 'a defect in gossip'),
    })
    const ledger = await Ledger.open({
      signer,
      params,
      store,
      log,
      cache: new AccountCache(index, identity.id),
      keys: { log: logKeys.publicKey.toString('hex'), vrf: identity.vrfKeyPair().publicKey.toString('hex') },
      roles: isWorker ? ['client', 'worker'] : ['client'],
      name: toName(config.name ?? ''),
      wallMs,
      onBanned: ({ accountId, reason, proof }) => {
        logger.warn({ accountId, reason }, 'an account is banned')
        if (!proof) return options.onBanned(accountId)
        gossip.confront(proof)
        // The cut drops what is not on its way yet, which takes a turn of the event loop.
        setImmediate(() => setImmediate(() => options.onBanned(accountId)))
      },
      onNews: ({ head, proof, suspects, statement }) => {
        if (head) grown.tell(head.length)
        if (proof) gossip.announceProofs()
        if (suspects) gossip.tellHeads(suspects)
        if (statement) gossip.tell(statement)
      },
      onRestored: (entries) =>
        logger.warn(
          { entries },
          'the log of this node was shorter here than at its peers, as after restoring a backup: it was completed',
        ),
      onChanged: () => {},
      onSweep: () => earnings.sweep(),
      onProblem: (error) => logger.error({ code: error.code }, error.message),
    })
    const earnings = new Earnings({
      signer,
      params,
      wallMs,
      isFiled: (receiptId) => ledger.isFiled(receiptId),
      file: (receipt) => ledger.file(receipt),
      execProfile: () => unknownProfile,
    })
    for (const entry of await takeUnwritten(dataDir, networkId)) ledger.append(entry)
    conflicts.tell = (logKey) => ledger.conflicted(logKey)
    const deals = new Deals({
      signer,
      params,
      wallMs,
      funds: () => ledger.funds(),
      isPeer: (workerId) => gossip.isPeer(workerId),
      log: (entry) => ledger.append(entry),
      onWrongResult: (workerId, requestId, detail) =>
        logger.warn({ workerId, requestId, detail }, 'a worker signed another result than it delivered'),
    })
    return {
      ledger,
      deals,
      earnings,
      gossip,
      epochMs,
      // Answers are filed within two epochs. Keys that were used elsewhere have a log, and to begin another would be a fork.
      checkWaitMs: isImported && log.length === 0 ? 2 * epochMs : epochMs / 4,
      gossiper: gossiperMachine.provide({
        actors: createGossiperActors({
          gossip,
          // The books outlive the actor that gossips about them: answers go on while it is started again.
          open: () => Promise.resolve({ ledger, close: () => Promise.resolve() }),
          settle: () => Promise.resolve(ledger.checked()),
          onDefect: (error) => logger.error({ err: error }, 'a defect in the score gossiper'),
        }),
      }),
      get onGrown() {
        return grown.tell
      },
      set onGrown(tell) {
        grown.tell = tell
      },
      close: async () => {
        earnings.close()
        await ledger.close()
        await keepUnwritten(dataDir, networkId, ledger.unwritten())
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** What ran the model is not told to the books yet: audits, which need it, compare with the widest tolerance then. */
const unknownProfile = 255

/** The rules of the mesh: the built-in ones, with what its members may choose. */
const toParams = ({ epochSeconds, stampBits }: Config): TrustParams => ({
  ...genesisParams,
  epochSeconds,
  stampBits,
  epochsPerDay: Math.floor(86_400 / epochSeconds),
})

const importedSchema = z.object({ id: peerIdSchema })

/** Entries kept over a stop; a file of state is bounded. */
const unwrittenMax = 1_000
const unwrittenSchema = z.object({
  entries: z.array(z.string().max(2 * limits.logEntryBytesMax)).max(unwrittenMax),
})
const toUnwrittenFile = (networkId: string): string => `account-${networkId}-unwritten.json`

/** What could not be written to the log before the last stop. Taken once: it must not be written twice. */
async function takeUnwritten(dataDir: DataDir, networkId: string): Promise<NewEntry[]> {
  const file = toUnwrittenFile(networkId)
  const kept = await dataDir.readState(file, unwrittenSchema)
  if (!kept || kept.entries.length === 0) return []
  await dataDir.writeState(file, { entries: [] })
  return kept.entries.flatMap((text) => {
    try {
      const entry = decodeEntry(Buffer.from(text, 'base64'))
      return entry.type === 'receipt' || entry.type === 'paid' ? [entry] : []
    } catch {
      // Damaged: the other entries are good all the same.
      return []
    }
  })
}

async function keepUnwritten(
  dataDir: DataDir,
  networkId: string,
  entries: readonly NewEntry[],
): Promise<void> {
  if (entries.length === 0) return
  const texts = entries.slice(-unwrittenMax).map((entry) => encodeEntry(entry).toString('base64'))
  await dataDir.writeState(toUnwrittenFile(networkId), { entries: texts })
}

const markSchema = z.object({
  length: z.number().int().min(0).max(limits.logLengthMax),
  treeHash: z.string().regex(/^[0-9a-f]{64}$/),
})

/** Beside the folder of the logs, so that one that was restored from a backup shows. */
const createCounter = (dataDir: DataDir, networkId: string): LogCounter => {
  const name = `account-${networkId}.json`
  return {
    read: () => dataDir.readState(name, markSchema),
    write: (mark: LogMark) => dataDir.writeState(name, mark),
  }
}
