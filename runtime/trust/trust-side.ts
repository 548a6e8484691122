import { AccountCache } from '../../actors/trust/cache/account-cache.ts'
import { Deals } from '../../actors/trust/dealing/deals.ts'
import { Earnings } from '../../actors/trust/dealing/earnings.ts'
import { Gossip } from '../../actors/trust/gossip/gossip.ts'
import { createGossiperActors } from '../../actors/trust/gossip/gossiper.adapter.ts'
import { IndexStore } from '../../actors/trust/cache/index-store.ts'
import { Ledger } from '../../actors/trust/ledger.ts'
import { LogStore } from '../../actors/trust/log/log-store.ts'
import type { DealsPort } from '../../actors/request/deals.port.ts'
import type { EarningsPort } from '../../actors/scheduling/earnings.port.ts'
import { gossiperMachine, type OwnLogStory } from '../../machines/trust/gossiper.machine.ts'
import { type PeerId, QMeshError } from '../../protocol/index.ts'
import { createSigner, toName } from '../../protocol/trust/index.ts'
import type { Config } from '../config/index.ts'
import type { DataDir } from '../data-dir.ts'
import { identityFileName } from '../identity.ts'
import type { Logger } from '../logger.ts'
import { keepAccusation, readAccusation, toBannedError } from './accusation.ts'
import { areKeysImported, forgetImport, toOwnAccount } from './own-account.ts'
import { createUnwrittenFile } from './unwritten-file.ts'

export interface TrustSideOptions {
  readonly dataDir: DataDir
  readonly config: Config
  readonly logger: Logger
  readonly isWorker: boolean
  /** An account that was introduced, or is connected, broke the rules: it is to be cut off. */
  readonly onBanned: (accountId: PeerId) => void
  /** A peer sent something on the scores network that no honest peer sends. */
  readonly onViolation: (peerId: PeerId) => void
}

/** What a node knows of work and credit, and where it signs for its own. */
export interface TrustSide {
  readonly ledger: Ledger
  readonly deals: DealsPort & Pick<Deals, 'reserved'>
  readonly earnings: EarningsPort
  readonly gossip: Gossip
  /** Milliseconds of an epoch. */
  readonly epochMs: number
  /** Milliseconds that peers have, at the start, to say what they hold of the own log. */
  readonly checkWaitMs: number
  /** What is known of the own log now. */
  readonly log: OwnLogStory
  /** The actor that keeps others' books and this one's alike, over the connections there are. */
  readonly gossiper: typeof gossiperMachine
  /** The own log grew to so many entries. */
  onGrown: (length: number) => void
  /** The own card is new, or another one than before. */
  onCard: () => void
  /** Accounts that are to be cut off from the start. */
  banned(): PeerId[]
  close(): Promise<void>
}

/**
 * Opens the books of this node.
 *
 * @throws QMeshError `QM_LOG_DAMAGED`; `QM_ACCOUNT_BANNED` when peers have shown proof against this node's own account
 */
export async function openTrustSide(options: TrustSideOptions): Promise<TrustSide> {
  const { dataDir, config, logger, isWorker } = options
  const { identity } = dataDir
  const { params, networkId, logs, index: indexFolder, counter } = toOwnAccount(dataDir, config)
  const identityFile = dataDir.file(identityFileName)
  const accusation = await readAccusation(dataDir, networkId)
  if (accusation) throw toBannedError(identity.id, accusation, identityFile)
  const signer = createSigner(networkId, identity.noiseKeyPair())
  const wallMs = (): number => Date.now()

  const conflicts = { tell: (_logKey: string): void => {} }
  const store = await LogStore.open(logs, {
    onProblem: (error) => logger.error({ code: error.code }, error.message),
    onConflict: ({ logKey }) => conflicts.tell(logKey),
  })
  try {
    const logKeys = identity.logKeyPair(networkId)
    const log = await store.own(logKeys, counter)
    const index = await IndexStore.open(indexFolder, {
      onEmptied: (reason) =>
        logger.info({ reason }, 'the index of accounts is empty: it is filled from the logs'),
    })
    const epochMs = 1_000 * params.epochSeconds
    let areImported = await areKeysImported(dataDir)
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
    // What is told while the books open comes before there are any.
    const books: { ledger?: Ledger } = {}
    const told: { card?: string | undefined; tell: () => void } = { tell: () => {} }
    /** The own card is in the log, and may be another one than it was. */
    const tellCard = (): void => {
      const { signature } = books.ledger?.cardOf(identity.id) ?? {}
      if (signature === undefined || signature === told.card) return
      told.card = signature
      told.tell()
    }
    /** Whether it makes a difference to cut an account off. */
    const isWithin = (accountId: PeerId): boolean =>
      books.ledger?.cardOf(accountId) !== undefined || gossip.isPeer(accountId)
    const ledger = await Ledger.open({
      signer,
      params,
      store,
      log,
      cache: new AccountCache(index, identity.id),
      unwritten: createUnwrittenFile(dataDir.file(toUnwrittenFile(networkId)), ({ message }) =>
        logger.warn({ reason: message }, 'what waits for the log of this node could not be kept or read'),
      ),
      keys: { log: logKeys.publicKey.toString('hex'), vrf: identity.vrfKeyPair().publicKey.toString('hex') },
      roles: isWorker ? ['client', 'worker'] : ['client'],
      name: toName(config.name ?? ''),
      wallMs,
      onBanned: ({ accountId, reason, proof }) => {
        logger.warn({ accountId, reason }, 'an account is banned')
        // Who was never introduced and is not here has nothing to be cut off from, and there is no end to such.
        if (!isWithin(accountId)) return
        if (!proof) return options.onBanned(accountId)
        gossip.confront(proof)
        // The cut drops what is not on its way yet, which takes a turn of the event loop.
        setImmediate(() => setImmediate(() => options.onBanned(accountId)))
      },
      onNews: ({ head, proof, suspects, statement }) => {
        if (head) {
          grown.tell(head.length)
          tellCard()
        }
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
      onRoom: (isFull) => {
        const message = 'the logs of the accounts take as much of the disk as they may'
        if (isFull)
          logger.warn({ folder: logs }, `${message}: no more is read of any, and scores stay behind`)
        else logger.info({ folder: logs }, `${message} no more: they are read again`)
      },
      onAccused: (proof) => {
        const { code, message } = toBannedError(identity.id, proof, identityFile)
        logger.error({ code }, message)
        void keepAccusation(dataDir, networkId, proof)
      },
    })
    books.ledger = ledger
    told.card = ledger.cardOf(identity.id)?.signature
    const earnings = new Earnings({
      signer,
      params,
      wallMs,
      isFiled: (receiptId) => ledger.isFiled(receiptId),
      file: (receipt) => ledger.file(receipt),
      execProfile: () => unknownProfile,
      contradictionOf: (offer) => ledger.spending.contradictionOf(offer),
      isSpent: (offer) => ledger.spending.isSpent(offer),
    })
    conflicts.tell = (logKey) => ledger.conflicted(logKey)
    /** @throws QMeshError `QM_ACCOUNT_BANNED` */
    const refuseBanned = (accountId: PeerId): void => {
      const record = ledger.books.recordOf(accountId)
      if (!record) return
      throw new QMeshError('QM_ACCOUNT_BANNED', `The account ${accountId} is banned: ${record.reason}`)
    }
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
    const toStory = (): OwnLogStory => {
      // Before the check was passed once, what is here may be the beginning of what is elsewhere.
      if (areImported) return 'elsewhere'
      return log.length > 0 || log.acknowledged ? 'begun' : 'new'
    }
    const settle = async (): Promise<void> => {
      ledger.checked()
      if (!areImported || log.length === 0 || log.state !== 'ready') return
      areImported = false
      await forgetImport(dataDir)
    }
    return {
      ledger,
      deals: {
        get reserved() {
          return deals.reserved
        },
        begin: (workerId, prompt) => {
          refuseBanned(workerId)
          return deals.begin(workerId, prompt)
        },
      },
      earnings: {
        begin: (clientId, prompt) => {
          refuseBanned(clientId)
          return earnings.begin(clientId, prompt)
        },
        acked: (clientId, requestId, evidence) => earnings.acked(clientId, requestId, evidence),
      },
      gossip,
      epochMs,
      get log() {
        return toStory()
      },
      get checkWaitMs() {
        // Answers are filed within two epochs, so by then everybody who knows the log knows all of it.
        return toStory() === 'elsewhere' ? 2 * epochMs : epochMs / 4
      },
      banned: () =>
        ledger.books.banRecords.map(({ accountId }) => accountId).filter((accountId) => isWithin(accountId)),
      gossiper: gossiperMachine.provide({
        actors: createGossiperActors({
          gossip,
          // The books outlive the actor that gossips about them: answers go on while it is started again.
          open: () => Promise.resolve({ ledger, close: () => Promise.resolve() }),
          settle,
          onDefect: (error) => logger.error({ err: error }, 'a defect in the score gossiper'),
        }),
      }),
      get onGrown() {
        return grown.tell
      },
      set onGrown(tell) {
        grown.tell = tell
      },
      get onCard() {
        return told.tell
      },
      set onCard(tell) {
        told.tell = tell
      },
      close: async () => {
        earnings.close()
        await ledger.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** What ran the model is not told to the books yet: audits, which need it, compare with the widest tolerance then. */
const unknownProfile = 255

const toUnwrittenFile = (networkId: string): string => `account-${networkId}-unwritten.json`
