import type Corestore from 'corestore'
import Hypercore from 'hypercore'
import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import { limits, QMeshError } from '../../../protocol/index.ts'
import { AccountLog } from './account-log.ts'
import { Gate } from '../gate.ts'
import type { LogAccess, LogConflict, Refusal } from './log-access.ts'
import type { LogCounter } from './log-counter.ts'
import { toLogDamaged } from './log-damaged.ts'
import { closeStore, openStore } from './open-store.ts'
import { RemoteLog } from './remote-log.ts'
import { countLogChannels, guardPeers, type LogMux, logProtocol } from './replication-guard.ts'
import { toTreeHash } from './tree-hash.ts'

/** Logs that stay open while nobody uses them. */
const logsOpenMax = 64
/** Others' logs pulled at the same time; each is a channel on every connection, which may have `limits.channelsMax`. */
const pullsMax = 8
/** Log channels on one connection, asked for by either side. */
const channelsMax = 24
/** Logs that one connection may ask for and we do not have, before we stop looking. */
const missesMax = 1_000
/** Milliseconds between attempts to open the store again after it failed. */
const reopenPauseMs = 1_000
/** Blocks asked for at once from one peer. */
const inflightRange = [16, 256] as const

export interface LogStoreOptions {
  /** The store failed, or works again; the node goes on without its logs meanwhile. */
  readonly onProblem?: (error: QMeshError) => void
  /** Also called when nobody pulls: a peer that asks for a log may show another one. */
  readonly onConflict?: (conflict: LogConflict) => void
}

interface OpenLog {
  readonly core: Hypercore
  readonly ready: Promise<void>
  isReady: boolean
  users: number
  pulls: number
}

interface Link {
  readonly mux: LogMux
  misses: number
  /** What a peer asks for is looked at one by one, so that it can be counted. */
  turn: Promise<void>
}

/**
 * The logs of one network in one folder: a Corestore, and what it lacks. Logs are opened on use and bounded; what
 * strangers may open, ask for and say is bounded; a store that failed (disk full) is opened again when it is next
 * used. One process at a time: a second one gets `QM_LOG_DAMAGED`.
 */
export class LogStore implements LogAccess {
  readonly folder: string
  readonly #options: LogStoreOptions
  readonly #logs = new Map<string, OpenLog>()
  readonly #pinned = new Set<string>()
  readonly #links = new Set<Link>()
  readonly #owned: AccountLog[] = []
  readonly #pulls = new Gate(pullsMax)
  readonly #conflicts = new Map<string, LogConflict>()
  readonly #refused = new Map<string, Refusal>()
  #store: Corestore
  #broken: QMeshError | undefined
  #reopening: Promise<void> | undefined
  #triedAtMs = -Infinity
  #closing: Promise<void> | undefined
  #isShut = false

  private constructor(folder: string, store: Corestore, options: LogStoreOptions) {
    this.folder = folder
    this.#store = store
    this.#options = options
  }

  /**
   * The folder is created when it is missing.
   *
   * @throws QMeshError `QM_LOG_DAMAGED` naming the folder: unreadable, damaged, full, or used by another process
   */
  static async open(folder: string, options: LogStoreOptions = {}): Promise<LogStore> {
    return new LogStore(folder, await openStore(folder), options)
  }

  /** Whether the store failed and was not opened again yet. */
  get isBroken(): boolean {
    return this.#broken !== undefined
  }

  /** Logs that are open: own ones, ones in use, ones that peers read, and the ones used last. */
  get logsOpen(): number {
    return this.#logs.size
  }

  /** Opens the log that this key pair signs. `counter` remembers outside the folder how long it was. */
  async own(keyPair: Hypercore.KeyPair, counter: LogCounter): Promise<AccountLog> {
    this.#pinned.add(keyPair.publicKey.toString('hex'))
    const log = await AccountLog.open(this, keyPair, counter)
    this.#owned.push(log)
    return log
  }

  /** Another account's log. @param logKey public key of its signer, 64 hex characters. */
  remote(logKey: string): RemoteLog {
    return new RemoteLog(this, logKey)
  }

  /** Serves and pulls logs over a connection until it closes or the returned function is called. */
  replicate(stream: NoiseStream): () => void {
    const link: Link = { mux: Protomux.from(stream) as LogMux, misses: 0, turn: Promise.resolve() }
    if (this.#closing || stream.destroying) return () => undefined
    this.#links.add(link)
    link.mux.pair(
      { protocol: logProtocol },
      (id) => (link.turn = link.turn.then(() => this.#onAsked(link, id))),
    )
    for (const log of this.#logs.values()) if (log.pulls > 0) attach(log.core, link.mux)
    const detach = (): void => this.#detach(link)
    stream.once('close', detach)
    return () => {
      stream.off('close', detach)
      detach()
    }
  }

  /** Ends what runs, then closes own logs, sessions and the store, in this order. Never rejects; twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async use<T>(logKey: string, run: (core: Hypercore) => Promise<T>): Promise<T> {
    await this.#ensureOpen()
    const log = this.#enter(logKey)
    log.users++
    const store = this.#store
    try {
      await log.ready
      return await run(log.core)
    } catch (error) {
      // A core that cannot be opened: RocksDB takes no more, unless the whole store is just being opened again.
      if (!log.isReady && store === this.#store && !this.#reopening) throw await this.fail(error)
      throw error instanceof QMeshError ? error : await toLogDamaged(this.folder, error)
    } finally {
      log.users--
      this.#evict()
    }
  }

  async pulling<T>(
    logKey: string,
    signal: AbortSignal | undefined,
    run: (core: Hypercore) => Promise<T>,
  ): Promise<T | undefined> {
    // The own log is what the node cannot go on without: it does not wait for logs that may be nowhere to be had.
    const leave = this.#pinned.has(logKey) ? () => undefined : await this.#pulls.enter(signal)
    if (!leave) return undefined
    try {
      return await this.use(logKey, async (core) => {
        const log = this.#logs.get(logKey)
        if (!log) throw new QMeshError('QM_INTERNAL')
        log.pulls++
        try {
          for (const { mux } of this.#links) attach(core, mux)
          core.setActive(true)
          return await run(core)
        } finally {
          if (--log.pulls === 0) core.setActive(false)
        }
      })
    } finally {
      leave()
    }
  }

  async has(logKey: string): Promise<boolean> {
    if (this.#logs.has(logKey)) return true
    await this.#ensureOpen()
    return this.#store.storage.hasCore(toDiscoveryKey(logKey))
  }

  refuse(logKey: string, reason: Refusal): void {
    this.#refused.set(logKey, reason)
    const [oldest] = this.#refused.keys()
    if (this.#refused.size > limits.offendersMax && oldest !== undefined) this.#refused.delete(oldest)
  }

  refusalOf(logKey: string): Refusal | undefined {
    return this.#refused.get(logKey)
  }

  conflictOf(logKey: string): LogConflict | undefined {
    return this.#conflicts.get(logKey)
  }

  async fail(cause: unknown): Promise<QMeshError> {
    const error = await toLogDamaged(this.folder, cause)
    if (this.#isShut) return error
    if (!this.#broken) this.#options.onProblem?.(error)
    this.#broken = error
    return error
  }

  #enter(logKey: string): OpenLog {
    const known = this.#logs.get(logKey)
    if (known) {
      // The latest used one is the last.
      this.#logs.delete(logKey)
      this.#logs.set(logKey, known)
      return known
    }
    const core = this.#store.get({
      manifest: { version: 1, signers: [{ publicKey: Buffer.from(logKey, 'hex') }] },
      active: false,
      allowFork: false,
      notDownloadingLinger: 0,
      inflightRange,
    })
    guardPeers(core)
    const log: OpenLog = { core, ready: core.ready(), isReady: false, users: 0, pulls: 0 }
    core.on('conflict', (length, _fork, proof) => this.#onConflict(logKey, length, proof))
    core.once('close', () => {
      if (this.#logs.get(logKey) === log) this.#logs.delete(logKey)
    })
    log.ready.then(
      () => {
        log.isReady = true
      },
      () => {
        if (this.#logs.get(logKey) === log) this.#logs.delete(logKey)
      },
    )
    this.#logs.set(logKey, log)
    return log
  }

  /** Closes the least recently used logs that nobody needs. */
  #evict(): void {
    let excess = this.#logs.size - logsOpenMax
    for (const [logKey, { core, users }] of this.#logs) {
      if (excess <= 0) return
      if (users > 0 || core.peers.length > 0 || this.#pinned.has(logKey)) continue
      // Without this, a peer could open a channel to the core while its last session, with the guard, is gone.
      for (const { mux } of this.#links) core.replicator.detachFrom(mux)
      this.#logs.delete(logKey)
      core.close().catch(() => undefined)
      excess--
    }
  }

  /** A peer asks for a log by its discovery key, which tells nothing to who does not know the log. Never rejects. */
  async #onAsked(link: Link, discoveryKey: Buffer | null): Promise<void> {
    if (this.#closing || this.#broken || discoveryKey?.length !== 32) return
    if (link.misses >= missesMax || countLogChannels(link.mux) >= channelsMax) return
    try {
      const logKey = await this.#find(discoveryKey)
      if (logKey === undefined) {
        link.misses++
        return
      }
      await this.use(logKey, async (core) => {
        if (!this.#links.has(link)) return
        attach(core, link.mux)
        // The channel is opened when this is settled, which is before we go on.
        await link.mux.stream.opened
      })
    } catch {
      // The store is closing or broken, and the peer gets a refusal.
    }
  }

  async #find(discoveryKey: Buffer): Promise<string | undefined> {
    if (!(await this.#store.storage.hasCore(discoveryKey))) return undefined
    const core = this.#store.get({ discoveryKey, active: false, createIfMissing: false, allowFork: false })
    try {
      await core.ready()
      return (
        core.manifest?.signers[0].publicKey && Buffer.from(core.manifest.signers[0].publicKey).toString('hex')
      )
    } finally {
      await core.close()
    }
  }

  #onConflict(logKey: string, length: number, proof: Hypercore.ConflictProof): void {
    const theirs = toTreeHash(proof.upgrade.nodes)
    this.refuse(logKey, 'conflict')
    // All sessions are being closed; a fresh one can still tell what we hold.
    this.#logs.delete(logKey)
    this.use(logKey, async (core) => (await core.treeHash(length)).toString('hex'))
      .catch(() => '')
      .then((ours) => {
        const conflict = { logKey, length, ours, theirs }
        this.#conflicts.set(logKey, conflict)
        const [oldest] = this.#conflicts.keys()
        if (this.#conflicts.size > limits.offendersMax && oldest !== undefined) this.#conflicts.delete(oldest)
        this.#options.onConflict?.(conflict)
      })
      .catch(() => undefined)
  }

  #detach(link: Link): void {
    if (!this.#links.delete(link)) return
    link.mux.unpair({ protocol: logProtocol })
    for (const { core } of this.#logs.values()) {
      const peers = core.peers.filter(({ protomux }) => protomux === link.mux)
      for (const { channel } of peers) channel.close()
      core.replicator.detachFrom(link.mux)
    }
  }

  async #ensureOpen(): Promise<void> {
    if (this.#isShut) throw new QMeshError('QM_NODE_STOPPED', 'The log store was closed.')
    if (!this.#broken) return
    if (performance.now() - this.#triedAtMs < reopenPauseMs) throw this.#broken
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = undefined
      this.#triedAtMs = performance.now()
    })
    await this.#reopening
  }

  async #reopen(): Promise<void> {
    this.#logs.clear()
    await closeStore(this.#store)
    try {
      this.#store = await openStore(this.folder)
      this.#broken = undefined
    } catch (error) {
      this.#broken = error as QMeshError
      throw error
    }
  }

  async #close(): Promise<void> {
    this.#pulls.close()
    for (const link of this.#links) this.#detach(link)
    for (const log of this.#owned) await log.close()
    this.#isShut = true
    await this.#reopening?.catch(() => undefined)
    this.#logs.clear()
    await closeStore(this.#store)
  }
}

const toDiscoveryKey = (logKey: string): Buffer =>
  Hypercore.discoveryKey(Hypercore.key(Buffer.from(logKey, 'hex')))

function attach(core: Hypercore, mux: LogMux): void {
  if (!core.replicator.attached(mux)) core.replicate(mux)
}
