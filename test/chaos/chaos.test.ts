import { beforeAll, expect, it } from 'vitest'
import { ChaosMesh } from './mesh.ts'
import { planRound } from './plan.ts'
import { playRound } from './round.ts'

/** Rounds are begun for so long, on a slow machine fewer of them: `npm run chaos` plays as many as one likes. */
const beginMs = 8_000
const [roundsMin, roundsMax] = [3, 16]
const firstSeed = Number(process.env['QMESH_TEST_SEED'] ?? 1)

let mesh: ChaosMesh
beforeAll(async () => {
  mesh = await ChaosMesh.open({ workers: 4, atLeast: 2, hasHostile: true })
  return () => mesh.close()
})

it('whatever happens to its workers, a stream is the one it would have been, or ends with a code and what there is', async () => {
  const startedAt = performance.now()
  for (let round = 0; round < roundsMax; round++) {
    if (round >= roundsMin && performance.now() - startedAt > beginMs) return
    const seed = firstSeed + round
    const { failures, happened, streams } = await playRound(mesh, planRound(seed))
    const attempts = streams.map((stream) => stream.attempts)
    expect(
      failures,
      `npm run chaos -- --rounds 1 --seed ${seed}: ${JSON.stringify({ happened, attempts })}`,
    ).toEqual([])
  }
})

it('a seed is a plan', () => {
  expect(planRound(firstSeed)).toEqual(planRound(firstSeed))
  const plans = Array.from({ length: 300 }, (_, index) => planRound(firstSeed + index))
  const happens = new Set(
    plans.flatMap(({ faults, hostile }) => [...faults.map(({ kind }) => kind), hostile?.deed]),
  )
  expect(happens.size).toBeGreaterThan(24)
})

it('and no process is left behind', async () => {
  await mesh.close()
  expect(mesh.processes.size).toBe(0)
})
