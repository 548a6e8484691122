import type { TrustParams } from '../../../machines/trust/index.ts'
import type { PeerId } from '../../../protocol/index.ts'
import {
  type Head,
  type IdentityCard,
  isHeadValid,
  type NetworkId,
  type PaidEntry,
  type Receipt,
} from '../../../protocol/trust/index.ts'
import { folderBytes } from '../../files/folder-bytes.ts'
import type { Account, BanRecord, Books } from '../books.ts'
import { type Broken, LogReader } from './log-reader.ts'
import type { LogStore } from './log-store.ts'
import { PullQuota } from './pull-quota.ts'

export interface LogFollowerPorts {
  readonly ownId: PeerId
  /** Public key of this node's own log, in hex. */
  readonly ownLogKey: string
  readonly networkId: NetworkId
  readonly params: TrustParams
  readonly books: Books
  readonly store: LogStore
  /** @returns whether that was news */
  readonly ban: (record: BanRecord) => boolean
  /** Heads that do not fit together, for others to compare with what they hold. */
  readonly onSuspects: (heads: readonly Head[]) => void
  readonly onReceipt: (receipt: Receipt) => void
  readonly onPaid: (clientId: PeerId, entry: PaidEntry) => void
  readonly onCard: (card: IdentityCard) => void
  /** More of somebody's log was read. */
  readonly onRead: () => void
  /** All logs together take as much room as they may at most, or do so no more. */
  readonly onRoom: (isFull: boolean) => void
}

/** Reads on in others' logs, and finds those that do not fit what their owners signed. */
export class LogFollower {
  readonly #ports: LogFollowerPorts
  readonly #reader: LogReader
  readonly #quota: PullQuota
  /** Accounts whose logs are being read. */
  readonly #following = new Set<PeerId>()
  /** The latest head of each account that fitted its log. */
  readonly #fitting = new Map<PeerId, Head>()
  #isFull = false

  constructor(ports: LogFollowerPorts) {
    const { params, networkId, store, books } = ports
    this.#ports = ports
    this.#quota = new PullQuota(() => books.epoch)
    void this.#measure()
    this.#reader = new LogReader({
      params,
      networkId,
      store,
      quota: this.#quota,
      accounts: () => books.size,
      hasRoom: (account) => books.hasRoomFor(account),
      onBroken: (found) => this.#broken(found),
      onReceipt: ports.onReceipt,
      onPaid: ports.onPaid,
      onCard: ports.onCard,
    })
  }

  /** Reads on wherever a longer head is known. */
  catchUp(): void {
    for (const account of this.#ports.books.accounts())
      if (this.#isBehind(account)) void this.#follow(account)
  }

  /** An older head that is not the beginning of the newer one is a fork, too. */
  compareWithPast(account: Account, head: Head): void {
    if (account.card) void this.#compare(account, account.card, head).catch(() => undefined)
  }

  /** Two histories of a log were seen, not necessarily while it was read. */
  conflicted(logKey: string): void {
    const { books } = this.#ports
    const { epoch } = books
    const reason = 'Its log cannot be true: two histories of it exist.'
    for (const { id: accountId, card } of books.accounts()) {
      if (card?.logKey === logKey) this.#broken({ accountId, reason, epoch, isEvident: false })
    }
  }

  /**
   * Deletes the entries of a banned account's log from the disk, once nothing of it is being read. For those whose log
   * is the evidence itself, it stays: newcomers have to find what everybody found. Never rejects.
   */
  async forget(record: BanRecord): Promise<void> {
    const account = this.#ports.books.get(record.accountId)
    if (account && isForgettable(record)) await this.drop(account)
  }

  /** Deletes the entries of a log that nobody else's card names, once nothing of it is being read. Never rejects. */
  async drop({ id, card }: Pick<Account, 'id' | 'card'>): Promise<void> {
    if (!card) return
    await this.#reader.idle(id)
    if (this.#isOthers(card.logKey)) return
    await this.#ports.store
      .remote(card.logKey)
      .forget()
      .catch(() => undefined)
  }

  /** A card says which log is its account's, and may name anybody's: that of this node, or one that is still needed. */
  #isOthers(logKey: string): boolean {
    const { books, ownLogKey } = this.#ports
    if (logKey === ownLogKey) return true
    const gone = new Set(books.banRecords.filter(isForgettable).map(({ accountId }) => accountId))
    return [...books.accounts()].some(({ id, card }) => card?.logKey === logKey && !gone.has(id))
  }

  /** Once an epoch. */
  sweep(): void {
    const isKnown = (id: PeerId): boolean => this.#ports.books.get(id) !== undefined
    for (const id of this.#fitting.keys()) if (!isKnown(id)) this.#fitting.delete(id)
    this.#reader.sweep(isKnown)
    void this.#measure()
  }

  async close(): Promise<void> {
    await this.#reader.close()
  }

  /** What was deleted makes room again. Never rejects: what cannot be measured is as it was. */
  async #measure(): Promise<void> {
    await folderBytes(this.#ports.store.folder).then(
      (bytes) => this.#quota.measured(bytes),
      () => undefined,
    )
    const { isFull } = this.#quota
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    this.#ports.onRoom(isFull)
  }

  #isBehind({ id, head, state }: Account): boolean {
    const { ownId, books } = this.#ports
    return id !== ownId && (head?.length ?? 0) > state.length && !books.isBanned(id)
  }

  /** Reads on as long as there is more and it comes. Never rejects. */
  async #follow(account: Account): Promise<void> {
    const { id, state } = account
    if (this.#following.has(id)) return
    this.#following.add(id)
    for (let before = -1; before < state.length && this.#isBehind(account);) {
      before = state.length
      await this.#reader.read(account)
      if (state.length > before) this.#hasRead(account)
    }
    this.#following.delete(id)
  }

  #hasRead(account: Account): void {
    const { books, ban, onRead } = this.#ports
    const { head, treeHash, state } = account
    if (head?.length === state.length && head.treeHash === treeHash) this.#fitting.set(account.id, head)
    const record = books.toLogBan(account)
    if (record) ban(record)
    onRead()
  }

  async #compare({ id }: Account, { logKey }: IdentityCard, head: Head): Promise<void> {
    const { store, networkId, ban, onSuspects } = this.#ports
    const ours = await store.remote(logKey).treeHash(head.length)
    if (ours === undefined || ours === head.treeHash || !isHeadValid(head, networkId)) return
    const reason = 'It signed for another history of its log.'
    if (ban({ accountId: id, reason, epoch: head.epoch, isLocal: true })) onSuspects([head])
  }

  #broken({ accountId, reason, epoch, isEvident }: Broken): void {
    const { books, ban, onSuspects } = this.#ports
    const { head } = books.get(accountId) ?? {}
    if (!ban({ accountId, reason, epoch, isLocal: !isEvident }) || isEvident) return
    // Others may hold only one of the two histories: with both heads they find the contradiction themselves.
    onSuspects([this.#fitting.get(accountId), head].flatMap((one) => one ?? []))
  }
}

/** Whether nobody needs the log of the banned account as evidence. */
const isForgettable = ({ proof, isLocal = false }: BanRecord): boolean => proof !== undefined || isLocal
