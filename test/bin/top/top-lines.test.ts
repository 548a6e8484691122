import { describe, expect, it } from 'vitest'
import type { Look } from '../../../bin/top/look.ts'
import { topLines } from '../../../bin/top/top-lines.ts'
import { sampleWorker } from '../../support/gateway-rig.ts'
import { sampleExplanation, sampleStatus } from '../../runtime/support/control-rig.ts'

const worker = { ...sampleWorker, barred: undefined }
const workers = [
  { ...worker, workerId: 'a1'.repeat(32), accepting: false, tokensPerSecond: 99 },
  { ...worker, workerId: 'b2'.repeat(32), tokensPerSecond: 10.2 },
  { ...worker, workerId: 'c3'.repeat(32), barred: 'breaker-open' as const },
  { ...worker, workerId: 'd4'.repeat(32), tokensPerSecond: 40 },
  { ...worker, workerId: '99'.repeat(32), tokensPerSecond: 9.9 },
  { ...worker, workerId: sampleStatus.id, isLocal: true },
]
const requests = Array.from({ length: 8 }, (_, at) => ({
  ...sampleExplanation,
  requestId: `${at}e`.repeat(16),
  state: at === 5 ? ('open' as const) : sampleExplanation.state,
}))
const look: Look = { atMs: 0, at: '2024-01-02T03:04:06.000Z', status: sampleStatus, workers, requests }

const textOf = (linesMax?: number): string[] =>
  topLines(look, linesMax).map((line) => (typeof line === 'string' ? line : line.heading))
const firstWords = (lines: readonly string[]): string[] => lines.map((line) => line.split('  ', 1)[0] ?? '')

describe('what top shows', () => {
  it('this machine first, then the fast ones that take requests, then the others; open requests first', () => {
    const lines = firstWords(textOf())
    const order = lines.slice(lines.indexOf('WORKER') + 1, lines.indexOf('WORKER') + 7)
    expect(order.map((name) => name.slice(0, 4))).toEqual(['this', 'd4d4', '9999', 'b2b2', 'a1a1', 'c3c3'])
    expect(lines[lines.indexOf('REQUEST') + 1]).toBe('5e5e5e5e5e5e…')
    expect(textOf().join('\n')).toContain('not asked: breaker-open')
  })

  it.each([0, 1, 3, 5, 8, 9, 12, 16, 20, 40])('fits %d lines', (linesMax) => {
    const lines = textOf(linesMax)
    expect(lines.length).toBeLessThanOrEqual(linesMax)
    if (linesMax >= 8) {
      expect(firstWords(lines)).toContain('WORKER')
      expect(firstWords(lines)).toContain('REQUEST')
    }
  })

  it('says how much does not fit, and gives one table what the other does not need', () => {
    const cut = textOf(14)
    expect(cut.slice(4)).toEqual([
      '',
      expect.stringContaining('WORKER'),
      expect.stringContaining('this machine'),
      expect.stringContaining('d4d4'),
      '… 4 more',
      '',
      expect.stringContaining('REQUEST'),
      expect.stringContaining('5e5e'),
      expect.stringContaining('0e0e'),
      '… 6 more',
    ])
    const { length } = textOf()
    expect(textOf(length)).toEqual(textOf())
    expect(textOf(length - 1).at(-1)).toBe('… 2 more')
  })

  it('says so where there is nothing', () => {
    const empty: Look = { ...look, workers: [], requests: [], status: { ...sampleStatus, models: [] } }
    expect(topLines(empty, 20)).toEqual(
      expect.arrayContaining([
        'no model: this node asks but does not serve',
        'no worker is known',
        'nothing was asked since the node started',
      ]),
    )
  })
})
