import sodium from 'sodium-universal'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Books } from '../../../actors/trust/books.ts'
import { Cards } from '../../../actors/trust/cards.ts'
import { makeStamp } from '../../../actors/trust/stamp.ts'
import { genesisParams } from '../../../machines/trust/index.ts'
import type { FraudProof } from '../../../protocol/trust/index.ts'
import { client, sampleCard, worker } from '../../protocol/trust/samples.ts'

const params = { ...genesisParams, stampBits: 4, stampMemoryKb: 8 }
const stamp = { bits: params.stampBits, memoryKb: params.stampMemoryKb }

function createCards() {
  const books = new Books(params, () => 1_000)
  const proofs: FraudProof[] = []
  const cards = new Cards({
    signer: client,
    params,
    books,
    onContradiction: (proof) => {
      proofs.push(proof)
      return 'new'
    },
  })
  return { books, cards, proofs }
}

/** The next nonce from here on that is no stamp. */
async function findBadNonce(): Promise<number> {
  const good = await makeStamp(worker.id, stamp)
  return good === 0 ? 1 : 0
}

describe('cards that are checked at the same time', () => {
  it('are each judged by their own stamp', async () => {
    const { books, cards } = createCards()
    const [good, bad] = [await makeStamp(worker.id, stamp), await findBadNonce()]
    const learned = await Promise.all([
      cards.learn(sampleCard({ stampNonce: bad })),
      cards.learn(sampleCard({ stampNonce: good, seq: 1 })),
    ])
    expect(learned).toEqual(['invalid', 'new'])
    expect(books.get(worker.id)?.card?.seq).toBe(1)
  })

  it('do not hide one another: the higher number is kept, the lower is known', async () => {
    const { books, cards } = createCards()
    const stampNonce = await makeStamp(worker.id, stamp)
    const learned = await Promise.all([
      cards.learn(sampleCard({ stampNonce, seq: 1 })),
      cards.learn(sampleCard({ stampNonce, seq: 0 })),
      cards.learn(sampleCard({ stampNonce, seq: 1 })),
    ])
    expect(learned).toEqual(['new', 'known', 'known'])
    expect(books.get(worker.id)?.card?.seq).toBe(1)
  })

  it('show a contradiction between them', async () => {
    const { cards, proofs } = createCards()
    const stampNonce = await makeStamp(worker.id, stamp)
    await Promise.all([
      cards.learn(sampleCard({ stampNonce, name: 'a' })),
      cards.learn(sampleCard({ stampNonce, name: 'b' })),
    ])
    expect(proofs).toMatchObject([{ kind: 'two-cards' }])
  })
})

it('a stamp is hashed once, though the books have no room for its account', async () => {
  const { books, cards } = createCards()
  for (let number = 0; number < 1_024; number++) {
    const account = books.open(number.toString(16).padStart(64, '0'))
    if (account) Object.assign(account.state, { length: 1 })
  }
  const stampNonce = await makeStamp(worker.id, stamp)
  const hash = vi.spyOn(sodium, 'crypto_pwhash_async')
  onTestFinished(() => hash.mockRestore())
  for (let round = 0; round < 3; round++) {
    expect(await cards.learn(sampleCard({ stampNonce }))).toBe('later')
  }
  expect(hash).toHaveBeenCalledTimes(1)
})
