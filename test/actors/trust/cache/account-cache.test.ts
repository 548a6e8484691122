import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { AccountCache } from '../../../../actors/trust/cache/account-cache.ts'
import { Books } from '../../../../actors/trust/books.ts'
import { IndexStore } from '../../../../actors/trust/cache/index-store.ts'
import { applyEntry, genesisParams as params } from '../../../../machines/trust/index.ts'
import { networkId, sampleCard, sampleHead, signerOf, worker } from '../../../protocol/trust/samples.ts'
import { makeFolder } from '../log/log-rig.ts'

const ownId = signerOf(50).id
const other = signerOf(51)

const createBooks = (): Books => {
  const books = new Books(params, () => 1_000)
  books.open(ownId)
  return books
}

/** Puts an account with a card in its log into the books. */
function introduce(books: Books, by = worker): void {
  const account = books.open(by.id)
  if (!account) throw new Error('there is room')
  account.card = sampleCard({}, by)
  account.head = sampleHead({ length: 1 }, by)
  applyEntry(account.state, { type: 'card', card: account.card }, { params, networkId })
}

async function openCache(folder: string) {
  const index = await IndexStore.open(folder)
  onTestFinished(() => index.close())
  return { index, cache: new AccountCache(index, ownId) }
}

async function keysOf(index: IndexStore): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of index.range()) keys.push(key.split('/')[0] ?? '')
  return keys
}

describe('the cache of accounts', () => {
  it('brings the books back after a restart, bans of this node alone included', async () => {
    const folder = join(await makeFolder(), 'index')
    const first = await openCache(folder)
    const books = createBooks()
    introduce(books)
    books.ban({ accountId: other.id, reason: 'It lied here.', epoch: 900, isLocal: true })
    await first.cache.save(books)
    await first.cache.close()
    const again = createBooks()
    const second = await openCache(folder)
    await second.cache.load(again)
    expect(again.get(worker.id)).toMatchObject({ card: sampleCard(), state: { length: 1 } })
    expect(again.banRecords).toMatchObject([{ accountId: other.id, isLocal: true }])

    // What only this node saw was proven meanwhile, in the same epoch.
    again.ban({ accountId: other.id, reason: 'Its log proves it.', epoch: 900 })
    await second.cache.save(again)
    await second.cache.close()
    const last = createBooks()
    await (await openCache(folder)).cache.load(last)
    expect(last.banRecords).toMatchObject([{ accountId: other.id, reason: 'Its log proves it.' }])
    expect(last.bans.has(other.id)).toBe(true)
  })

  it('is filled again when the index was emptied', async () => {
    const { index, cache } = await openCache(join(await makeFolder(), 'index'))
    const books = createBooks()
    introduce(books)
    await cache.save(books)
    await index.clear()
    expect(await keysOf(index)).toEqual([])
    await cache.save(books)
    expect(await keysOf(index)).toEqual(['card', 'head', 'state'])
  })

  it('forgets whom the books have forgotten, also those from before a restart', async () => {
    const folder = join(await makeFolder(), 'index')
    const first = await openCache(folder)
    const books = createBooks()
    introduce(books)
    introduce(books, other)
    await first.cache.save(books)
    await first.index.put(`head/${signerOf(52).id}`, 'damaged')
    await first.cache.close()
    const { index, cache } = await openCache(folder)
    await cache.load(createBooks())
    const fewer = createBooks()
    introduce(fewer)
    await cache.save(fewer)
    expect(await keysOf(index)).toEqual(['card', 'head', 'state'])
  })

  it('keeps a new card though the log did not grow', async () => {
    const { index, cache } = await openCache(join(await makeFolder(), 'index'))
    const books = createBooks()
    introduce(books)
    await cache.save(books)
    const account = books.get(worker.id)
    if (account) account.card = sampleCard({ seq: 1, name: 'attic' })
    await cache.save(books)
    const loaded = createBooks()
    await new AccountCache(index, ownId).load(loaded)
    expect(loaded.get(worker.id)?.card?.name).toBe('attic')
  })

  it('writes what is known of a log again when that grew by a twentieth, and at the end', async () => {
    const { index, cache } = await openCache(join(await makeFolder(), 'index'))
    const write = vi.spyOn(index, 'write')
    const books = createBooks()
    introduce(books)
    const { state } = books.get(worker.id) ?? {}
    if (!state) throw new Error('it was introduced')
    const count = 1_000
    for (let epoch = 0; epoch < count; epoch++) {
      applyEntry(state, { type: 'unknown', code: 200 }, { params, networkId })
      await cache.save(books, { isLast: false })
    }
    // Twenty for the first twenty entries, and log 50 / log 1.05 for the others.
    expect(write.mock.calls.length).toBeGreaterThan(50)
    expect(write.mock.calls.length).toBeLessThan(120)
    const load = async () => {
      const loaded = createBooks()
      await new AccountCache(index, ownId).load(loaded)
      return loaded.get(worker.id)?.state.length ?? 0
    }
    expect(await load()).toBeGreaterThan(0.95 * count)
    await cache.save(books)
    expect(await load()).toBe(count + 1)
  })
})
