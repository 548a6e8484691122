import { fromSnapshot, toSnapshot } from '../../../machines/trust/index.ts'
import {
  cardFormat,
  decodeProof,
  encodeProof,
  type FraudProof,
  type Head,
  headFormat,
  type IdentityCard,
} from '../../../protocol/trust/index.ts'
import type { PeerId } from '../../../protocol/index.ts'
import { z } from 'zod'
import type { Account, BanRecord, Books } from '../books.ts'
import type { IndexValue } from './index-codec.ts'
import type { IndexStore } from './index-store.ts'

const banSchema = z.object({
  reason: z.string(),
  epoch: z.number(),
  proof: z.string().optional(),
  isLocal: z.boolean().optional(),
})

type TreeHashOf = (logKey: string, length: number) => Promise<string | undefined>

/** A thing to keep, and what tells its versions apart. */
interface CacheWrite {
  readonly key: string
  readonly mark: string
  readonly toValue: () => IndexValue
  /** Whether what changed since the kept version is worth writing; absent, it always is. */
  readonly isWorth?: (kept: string) => boolean
}

/** What is known of a log is written again when the log grew by this part: a small change costs as much as a large one. */
const worthShare = 20

/**
 * Keeps the books in an index between two runs, so that no log has to be read twice. It is a cache: whatever is missing
 * or damaged in it is read from the logs again, and gossiped again.
 *
 * Keys: `card/<account>`, `head/<account>`, `state/<account>`, `ban/<account>`.
 */
export class AccountCache {
  readonly #index: IndexStore
  readonly #ownId: PeerId
  /** What the index holds: for each key, of which version of the thing. */
  readonly #kept = new Map<string, string>()
  #emptied: number

  /** @param ownId its log is at hand, and is read anew at every start */
  constructor(index: IndexStore, ownId: PeerId) {
    this.#index = index
    this.#ownId = ownId
    this.#emptied = index.emptied
  }

  /**
   * Puts everything that was kept into the books. Rejects when the index cannot be read.
   *
   * @param treeHashOf of a log's first entries, as far as they are here
   */
  async load(books: Books, treeHashOf: TreeHashOf = () => Promise.resolve(undefined)): Promise<void> {
    for (const prefix of ['card/', 'head/']) {
      // Of accounts that turn out to be unknown, they are taken out with the next writing.
      for await (const [key] of this.#index.range({ prefix })) this.#kept.set(key, '')
    }
    for await (const [key, value] of this.#index.range({ prefix: 'state/' })) {
      this.#kept.set(key, '')
      const id = key.slice('state/'.length)
      const state = fromSnapshot(value)
      const card = await this.#read(`card/${id}`, cardFormat.decode)
      const head = await this.#read(`head/${id}`, headFormat.decode)
      if (!state || !card || state.accountId !== id || card.accountId !== id) continue
      const account: Account = {
        id,
        card,
        head,
        state,
        treeHash: await treeHashOf(card.logKey, state.length),
      }
      books.restore(account)
      for (const write of this.#toWrites(account)) this.#kept.set(write.key, write.mark)
    }
    for await (const [key, value] of this.#index.range({ prefix: 'ban/' })) {
      this.#kept.set(key, '')
      const parsed = banSchema.safeParse(value)
      if (!parsed.success) continue
      const { reason, epoch, proof, isLocal } = parsed.data
      const accountId = key.slice('ban/'.length)
      const record = { accountId, reason, epoch, proof: toProof(proof), isLocal }
      books.ban(record)
      this.#kept.set(key, this.#toBan(record).mark)
    }
  }

  /**
   * Keeps what changed since the last time, and forgets what the books have forgotten.
   *
   * @param isLast also what would be read again from the logs in a moment
   */
  async save(books: Books, { isLast = true }: { readonly isLast?: boolean } = {}): Promise<void> {
    if (this.#emptied !== this.#index.emptied) {
      this.#emptied = this.#index.emptied
      this.#kept.clear()
    }
    const wanted = [
      ...[...books.accounts()].flatMap((account) => this.#toWrites(account)),
      ...books.banRecords.map((record) => this.#toBan(record)),
    ]
    const keys = new Set(wanted.map(({ key }) => key))
    const gone = [...this.#kept.keys()].filter((key) => !keys.has(key))
    const changed = wanted.filter(({ key, mark, isWorth }) => {
      const kept = this.#kept.get(key)
      return kept !== mark && (isLast || !kept || isWorth?.(kept) !== false)
    })
    if (gone.length + changed.length === 0) return
    await this.#index.write([
      ...gone.map((key) => ({ key })),
      ...changed.map(({ key, toValue }) => ({ key, value: toValue() })),
    ])
    for (const key of gone) this.#kept.delete(key)
    for (const { key, mark } of changed) this.#kept.set(key, mark)
  }

  close(): Promise<void> {
    return this.#index.close()
  }

  #toWrites({ id, card, head, state }: Account): CacheWrite[] {
    if (!card || id === this.#ownId) return []
    return [
      { key: `card/${id}`, mark: card.signature, toValue: () => cardFormat.encode(card) },
      ...(head ? [{ key: `head/${id}`, mark: head.signature, toValue: () => headFormat.encode(head) }] : []),
      {
        key: `state/${id}`,
        mark: `${state.length}`,
        toValue: () => toSnapshot(state),
        isWorth: (kept) => worthShare * (state.length - Number(kept)) >= state.length,
      },
    ]
  }

  #toBan({ accountId, reason, epoch, proof, isLocal = false }: BanRecord): CacheWrite {
    const toValue = (): IndexValue => ({
      reason,
      epoch,
      ...(proof && { proof: encodeProof(proof).toString('base64') }),
      ...(isLocal && { isLocal }),
    })
    // What only this node saw may be proven to everybody later, and be of the same epoch.
    return { key: `ban/${accountId}`, mark: `${epoch} ${isLocal} ${proof !== undefined}`, toValue }
  }

  async #read<Value extends Head | IdentityCard>(
    key: string,
    decode: (bytes: Uint8Array) => Value,
  ): Promise<Value | undefined> {
    const value = await this.#index.get(key)
    try {
      return value instanceof Uint8Array ? decode(value) : undefined
    } catch {
      return undefined
    }
  }
}

function toProof(text: string | undefined): FraudProof | undefined {
  try {
    return text === undefined ? undefined : decodeProof(Buffer.from(text, 'base64'))
  } catch {
    return undefined
  }
}
