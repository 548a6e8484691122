import { fromSnapshot, toSnapshot } from '../../machines/trust/index.ts'
import {
  cardFormat,
  decodeProof,
  encodeProof,
  type FraudProof,
  type Head,
  headFormat,
  type IdentityCard,
} from '../../protocol/trust/index.ts'
import type { PeerId } from '../../protocol/index.ts'
import { z } from 'zod'
import type { Account, BanRecord, Books } from './books.ts'
import type { IndexStore, IndexWrite } from './index-store.ts'

const banSchema = z.object({
  reason: z.string(),
  epoch: z.number(),
  proof: z.string().optional(),
  isLocal: z.boolean().optional(),
})

/**
 * Keeps the books in an index between two runs, so that no log has to be read twice. It is a cache: whatever is missing
 * or damaged in it is read from the logs again, and gossiped again.
 *
 * Keys: `card/<account>`, `head/<account>`, `state/<account>`, `ban/<account>`.
 */
export class AccountCache {
  readonly #index: IndexStore
  readonly #ownId: PeerId
  /** Entries folded when the state was last kept. */
  readonly #kept = new Map<string, number>()
  /** Bans by the epoch of the proof that was kept: an earlier one may come. */
  readonly #keptBans = new Map<string, number>()

  /** @param ownId its log is at hand, and is read anew at every start */
  constructor(index: IndexStore, ownId: PeerId) {
    this.#index = index
    this.#ownId = ownId
  }

  /** Puts everything that was kept into the books. Rejects when the index cannot be read. */
  async load(books: Books): Promise<void> {
    for await (const [key, value] of this.#index.range({ prefix: 'state/' })) {
      const id = key.slice('state/'.length)
      const state = fromSnapshot(value)
      const card = await this.#read(`card/${id}`, cardFormat.decode)
      const head = await this.#read(`head/${id}`, headFormat.decode)
      if (!state || !card || state.accountId !== id || card.accountId !== id) continue
      books.restore({ id, card, head, state, treeHash: undefined })
      this.#kept.set(id, state.length)
    }
    for await (const [key, value] of this.#index.range({ prefix: 'ban/' })) {
      const parsed = banSchema.safeParse(value)
      if (!parsed.success) continue
      const { reason, epoch, proof, isLocal } = parsed.data
      const accountId = key.slice('ban/'.length)
      books.ban({ accountId, reason, epoch, proof: toProof(proof), isLocal })
      this.#keptBans.set(accountId, epoch)
    }
  }

  /** Keeps what changed since the last time. */
  async save(books: Books): Promise<void> {
    const writes = [
      ...[...books.accounts()].flatMap((account) => this.#toWrites(account)),
      ...books.banRecords.flatMap((record) => this.#toBan(record)),
    ]
    if (writes.length > 0) await this.#index.write(writes)
  }

  close(): Promise<void> {
    return this.#index.close()
  }

  #toWrites({ id, card, head, state }: Account): IndexWrite[] {
    if (!card || id === this.#ownId || this.#kept.get(id) === state.length) return []
    this.#kept.set(id, state.length)
    return [
      { key: `card/${id}`, value: cardFormat.encode(card) },
      ...(head ? [{ key: `head/${id}`, value: headFormat.encode(head) }] : []),
      { key: `state/${id}`, value: toSnapshot(state) },
    ]
  }

  #toBan({ accountId, reason, epoch, proof, isLocal }: BanRecord): IndexWrite[] {
    if (this.#keptBans.get(accountId) === epoch) return []
    this.#keptBans.set(accountId, epoch)
    const value = {
      reason,
      epoch,
      ...(proof && { proof: encodeProof(proof).toString('base64') }),
      ...(isLocal === true && { isLocal }),
    }
    return [{ key: `ban/${accountId}`, value }]
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
