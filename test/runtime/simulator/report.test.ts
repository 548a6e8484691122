import { expect, test } from 'vitest'
import { defaultOptions, simulate, toReport, toTargets } from '../../../runtime/simulator/index.ts'

const options = { ...defaultOptions, nodes: [10], rounds: 4 }
const report = async (seed: number): Promise<string> => toReport(await simulate({ ...options, seed }))

test('the same seed gives the same report, another one another', async () => {
  const first = await report(1)
  expect(await report(1)).toBe(first)
  expect(await report(2)).not.toBe(first)
})

test('a target that was missed says so', async () => {
  const result = await simulate(options)
  const [run] = result.mixed
  if (!run) throw new Error('nothing was run')
  expect(toTargets(result).filter(({ verdict }) => verdict === 'missed')).toEqual([])
  const wrong = { ...run, nodes: 100, roundsToEqual: 9, honestBanned: 1, isScoreEqual: false }
  const missed = toTargets({ ...result, mixed: [wrong] }).filter(({ verdict }) => verdict === 'missed')
  expect(missed.map(({ measured }) => measured)).toEqual(['at most 9', '1 of 1', '1 in 1 runs'])
})

test('a simulation ends when it is told to', async () => {
  const abort = new AbortController()
  const running = simulate(options, {
    signal: abort.signal,
    progress: () => abort.abort(new Error('enough')),
  })
  await expect(running).rejects.toThrow('enough')
})
