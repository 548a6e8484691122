import { expect, it } from 'vitest'
import { Holdings } from '../../../../actors/trust/gossip/holdings.ts'
import { toHolding, toPrefix } from '../../../../protocol/messages/holdings.ts'
import { makeKeys } from './gossip-rig.ts'
import { makeCard, makeFork, makeHead, TestLedger } from './test-ledger.ts'

it('an account that the books forgot to make room is a stranger again', async () => {
  const [own, { signer: other }] = [makeKeys(1), makeKeys(2)]
  const ledger = new TestLedger(own.signer)
  const without = new Holdings(ledger).digest()
  await ledger.learnCard(makeCard(other))
  const head = makeHead(other, 5)
  ledger.learnHead(head)
  const holdings = new Holdings(ledger)
  expect(holdings.digest()).not.toEqual(without)

  ledger.cards.delete(other.id)
  ledger.heads.delete(other.id)
  holdings.refresh()
  expect(holdings.digest()).toEqual(without)
  expect(holdings.idOf(toPrefix(other.id))).toBeUndefined()
  const all = Array.from({ length: 16 }, (_, range) => range)
  expect(holdings.list(all).held.map(({ prefix }) => prefix)).toEqual([toPrefix(own.signer.id)])
  // Whoever still knows it can introduce it again: a head without its card is no use.
  const theirs = toHolding(other.id, head)
  const { wantedCards, wantedHeads } = holdings.compare({ type: 'score-heads', ranges: all, held: [theirs] })
  expect([wantedCards, wantedHeads]).toEqual([[theirs.prefix], [theirs]])
})

it('of one that is banned nothing is asked for, also when the books forgot it', async () => {
  const [own, { signer: thief }] = [makeKeys(1), makeKeys(2)]
  const ledger = new TestLedger(own.signer)
  await ledger.learnCard(makeCard(thief))
  const head = makeHead(thief, 5)
  ledger.learnHead(head)
  const holdings = new Holdings(ledger)
  expect(ledger.learnProof(makeFork(thief, 3))).toBe('new')
  ledger.cards.delete(thief.id)
  ledger.heads.delete(thief.id)
  holdings.refresh()
  const held = [toHolding(thief.id, head)]
  const { wantedCards, wantedHeads } = holdings.compare({ type: 'score-heads', ranges: [], held })
  expect([wantedCards, wantedHeads]).toEqual([[], []])
})
