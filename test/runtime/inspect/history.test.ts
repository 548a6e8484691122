import { expect, it } from 'vitest'
import type { InspectionEntry, SafeValue } from '../../../protocol/inspection.ts'
import { History } from '../../../runtime/inspect/history.ts'

const entry = (seq: number): InspectionEntry => ({
  kind: 'ended',
  seq,
  atMs: seq,
  actor: 'x:1',
  status: 'done',
})
const numbers = (history: History): number[] => history.list().map(({ seq }) => seq)

it('keeps the latest entries, and no more than it may', () => {
  const history = new History({ entriesMax: 3, bytesMax: 1_000 })
  for (let seq = 1; seq <= 50; seq++) {
    history.push(entry(seq), 10)
    expect(history.size).toBe(Math.min(seq, 3))
    expect(history.bytes).toBe(history.size * 10)
  }
  expect(numbers(history)).toEqual([48, 49, 50])
})

it('has a bound of bytes too, and keeps the latest whatever its size', () => {
  const history = new History({ entriesMax: 100, bytesMax: 100 })
  for (let seq = 1; seq <= 20; seq++) history.push(entry(seq), 30)
  expect(numbers(history)).toEqual([18, 19, 20])
  history.push(entry(21), 5_000)
  expect(numbers(history)).toEqual([21])
  history.push(entry(22), 10)
  expect(numbers(history)).toEqual([22])
  history.clear()
  expect([history.size, history.bytes]).toEqual([0, 0])
})

it('counts a context that entries share once, and for as long as one of them is kept', () => {
  const event = (seq: number, context: SafeValue): InspectionEntry => ({
    kind: 'event',
    seq,
    atMs: seq,
    actor: 'x:1',
    event: 'tick',
    outcome: 'taken',
    context,
  })
  const [large, small] = [{ name: 'large' }, { name: 'small' }]
  const history = new History({ entriesMax: 3, bytesMax: 1_000 })
  for (let seq = 1; seq <= 5; seq++) history.push(event(seq, large), 10, 500)
  expect([history.size, history.bytes]).toEqual([3, 530])
  history.push(event(6, small), 10, 5)
  history.push(event(7, small), 10, 5)
  expect([history.size, history.bytes]).toEqual([3, 535])
  history.push(event(8, small), 10, 5)
  expect([history.size, history.bytes]).toEqual([3, 35])
  history.push(event(9, large), 10, 990)
  expect([numbers(history), history.bytes]).toEqual([[9], 1_000])
  history.clear()
  history.push(event(10, large), 10, 500)
  expect(history.bytes).toBe(510)
})
