import { setImmediate } from 'node:timers/promises'
import { applyEntry, type TrustParams } from '../../../machines/trust/index.ts'
import type { PeerId } from '../../../protocol/index.ts'
import {
  checkReceipt,
  decodeEntry,
  type IdentityCard,
  isCardValid,
  type LogEntry,
  type NetworkId,
  type PaidEntry,
  type Receipt,
} from '../../../protocol/trust/index.ts'
import type { Account } from '../books.ts'
import type { PullOutcome, RemoteLog } from './remote-log.ts'
import type { LogStore } from './log-store.ts'
import type { PullQuota } from './pull-quota.ts'

export interface LogReaderPorts {
  readonly params: TrustParams
  readonly networkId: NetworkId
  readonly store: LogStore
  readonly quota: PullQuota
  /** How many accounts share the room for logs. */
  readonly accounts: () => number
  /** Whether more of its log may be kept in mind. */
  readonly hasRoom: (account: Account) => boolean
  /** The account broke the rules. */
  readonly onBroken: (found: Broken) => void
  /** A receipt that a worker has filed; all its signatures are right. */
  readonly onReceipt: (receipt: Receipt) => void
  /** A client's word for what it paid. */
  readonly onPaid: (clientId: PeerId, entry: PaidEntry) => void
  /** A card that the account signed and put into its log. */
  readonly onCard: (card: IdentityCard) => void
}

export interface Broken {
  readonly accountId: PeerId
  readonly reason: string
  /** The epoch that the log had reached, or its head. */
  readonly epoch: number
  /** Whether everybody who reads this log finds the same at the same place. */
  readonly isEvident: boolean
}

/** Entries checked before others get the processor: three signatures of 55 µs each. */
const entriesAtOnce = 32
/** Milliseconds a pull may take before another account has its turn. */
const pullMs = 10_000
/** Times a rest of `pullMs` is doubled after pulls that brought nothing: a head costs nothing without its log. */
const restDoublingsMax = 3

/** Gets other accounts' logs from connected peers, checks every signature in them, and folds them. */
export class LogReader {
  readonly #ports: LogReaderPorts
  readonly #reading = new Map<PeerId, Promise<void>>()
  /** Accounts whose logs did not come, how often in a row, and when to ask again. */
  readonly #resting = new Map<PeerId, { readonly times: number; readonly untilMs: number }>()
  readonly #stop = new AbortController()

  constructor(ports: LogReaderPorts) {
    this.#ports = ports
  }

  /** Reads up to the account's head, as far as that can be had now. Never rejects. */
  read(account: Account): Promise<void> {
    const running = this.#reading.get(account.id)
    if (running) return running
    if (performance.now() < (this.#resting.get(account.id)?.untilMs ?? 0)) return Promise.resolve()
    const reading = this.#read(account)
      // The store failed or is closing: the next round tries again.
      .catch(() => undefined)
      .finally(() => this.#reading.delete(account.id))
    this.#reading.set(account.id, reading)
    return reading
  }

  /** Resolves when nothing of this account's log is being read. Never rejects. */
  async idle(accountId: PeerId): Promise<void> {
    await this.#reading.get(accountId)
  }

  /** Once an epoch: whom the books forgot is forgotten here, too. */
  sweep(isKnown: (accountId: PeerId) => boolean): void {
    for (const id of this.#resting.keys()) if (!isKnown(id)) this.#resting.delete(id)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#reading.values())
  }

  async #read(account: Account): Promise<void> {
    const { card, head, state } = account
    const { store, onBroken, hasRoom } = this.#ports
    if (!card || !head || head.length <= state.length || !hasRoom(account)) return
    const remote = store.remote(card.logKey)
    const held = await remote.length()
    const outcome = await this.#pull(account.id, remote, held, head.length)
    if (!outcome) return
    if (outcome.kind === 'refused' && outcome.reason !== 'fork') {
      const why = outcome.reason === 'conflict' ? 'two histories of it exist' : 'an entry of it is too long'
      const reason = `Its log cannot be true: ${why}.`
      return onBroken({ accountId: account.id, reason, epoch: head.epoch, isEvident: false })
    }
    if (outcome.kind !== 'complete') {
      if (outcome.length > held) return
      const times = (this.#resting.get(account.id)?.times ?? 0) + 1
      const restMs = pullMs * 2 ** Math.min(times - 1, restDoublingsMax)
      this.#resting.set(account.id, { times, untilMs: performance.now() + restMs })
      return
    }
    this.#resting.delete(account.id)
    if (outcome.treeHash !== head.treeHash) {
      const reason = `Its log of ${head.length} entries is not the one that it signed for.`
      return onBroken({ accountId: account.id, reason, epoch: head.epoch, isEvident: false })
    }
    // Of what is read from here on the hash is not known before the end, and there may be none: an entry may be wrong.
    account.treeHash = undefined
    for await (const slice of remote.read(state.length, head.length)) {
      for (const bytes of slice) {
        const wrong = this.#take(account, bytes)
        if (wrong !== undefined) {
          const reason = `Entry ${state.length} of its log: ${wrong}.`
          return onBroken({ accountId: account.id, reason, epoch: state.lastEpoch, isEvident: true })
        }
        if (state.length % entriesAtOnce !== 0) continue
        await setImmediate()
        if (this.#stop.signal.aborted || !hasRoom(account)) return
      }
    }
    account.treeHash = head.length === state.length ? head.treeHash : await remote.treeHash(state.length)
  }

  /** As much of it as it may have now; nothing when that is nothing. */
  async #pull(id: PeerId, remote: RemoteLog, held: number, length: number): Promise<PullOutcome | undefined> {
    const { quota, accounts } = this.#ports
    if (held >= length) return remote.pull(length)
    const allowed = quota.allow(id, held, length)
    if (!allowed) return undefined
    const outcome = await remote.pull(allowed.toLength, {
      timeoutMs: pullMs,
      signal: this.#stop.signal,
      bytesMax: allowed.bytes,
      logBytesMax: quota.logBytesMax(accounts(), length),
      onBytes: (bytes) => quota.used(id, 0, bytes),
    })
    quota.used(id, Math.max(0, outcome.length - held), 0)
    const isWhole = outcome.kind !== 'complete' || allowed.toLength === length
    return isWhole ? outcome : { kind: 'partial', reason: 'bytes', length: outcome.length }
  }

  /** @returns why the entry cannot be an honest node's, if so. */
  #take({ id, state }: Account, bytes: Uint8Array): string | undefined {
    const { params, networkId, onReceipt, onPaid, onCard } = this.#ports
    let entry: LogEntry
    try {
      entry = decodeEntry(bytes)
    } catch (error) {
      return (error as Error).message
    }
    if (entry.type === 'card') {
      if (!isCardValid(entry.card, networkId)) return 'its card is not signed by it'
      if (entry.card.accountId === id) onCard(entry.card)
    }
    // One of another worker is a fault of its own, with its own name, and nothing in it was checked.
    if (entry.type === 'receipt' && entry.receipt.offer.workerId === id) {
      const wrong = checkReceipt(entry.receipt, networkId)
      if (wrong !== undefined) return wrong
      onReceipt(entry.receipt)
    }
    if (entry.type === 'paid') onPaid(id, entry)
    applyEntry(state, entry, { params, networkId })
    return undefined
  }
}
