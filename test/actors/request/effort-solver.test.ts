import { expect, test } from 'vitest'
import { EffortSolver } from '../../../actors/request/effort-solver.ts'
import { genesisParams, isStampEnough } from '../../../machines/trust/index.ts'
import { type Effort, EffortHash, limits } from '../../../protocol/index.ts'
import { effortNetwork as network } from '../../support/effort.ts'
import { withResolvers } from '../../support/with-resolvers.ts'

const clientId = 'c'.repeat(64)
const workerId = 'a'.repeat(64)
const requestId = '1'.repeat(32)
const seed = '5'.repeat(32)

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

function start(solver: EffortSolver, asked: () => Effort | undefined) {
  const { promise, resolve } = withResolvers<string | undefined>()
  let isOver = false
  const cancel = solver.search({
    workerId,
    requestId,
    asked,
    done: (nonce) => {
      isOver = true
      resolve(nonce)
    },
  })
  return { found: promise, cancel, isOver: () => isOver }
}

const isGood = (nonce: string | undefined, bits: number, of = seed): boolean =>
  isStampEnough(new EffortHash({ network, clientId, workerId, requestId, seed: of }).ofHex(nonce ?? ''), bits)

test('finds what is asked, while the event loop turns', async () => {
  const solver = new EffortSolver(network, clientId)
  const search = start(solver, () => ({ bits: 16, seed }))
  let turns = 0
  while (!search.isOver()) {
    await turn()
    turns++
  }
  expect(isGood(await search.found, 16)).toBe(true)
  expect(turns).toBeGreaterThan(1)
  expect(solver.size).toBe(0)
})

test('many searches take turns: the last one is not kept waiting by a hard one', async () => {
  const solver = new EffortSolver(network, clientId)
  const hard = start(solver, () => ({ bits: limits.effortBitsMax, seed }))
  const easy = [4, 6, 8].map((bits) => start(solver, () => ({ bits, seed })))
  const nonces = await Promise.all(easy.map(({ found }) => found))
  expect(nonces.map((nonce, index) => isGood(nonce, 4 + 2 * index))).toEqual([true, true, true])
  expect(hard.isOver()).toBe(false)
  hard.cancel()
  expect(solver.size).toBe(0)
})

test('a search that is cancelled makes no more hashes and says nothing', async () => {
  const solver = new EffortSolver(network, clientId)
  let looks = 0
  const search = start(solver, () => {
    looks++
    return { bits: limits.effortBitsMax, seed }
  })
  await turn()
  search.cancel()
  const seen = looks
  await turn()
  await turn()
  expect(looks).toBe(seen)
  expect(search.isOver()).toBe(false)
})

test('it follows the worker: less is taken up, another seed begins anew, and nothing asked ends it', async () => {
  const solver = new EffortSolver(network, clientId)
  let asked: Effort | undefined = { bits: limits.effortBitsMax, seed }
  const search = start(solver, () => asked)
  await turn()
  const other = '6'.repeat(32)
  asked = { bits: limits.effortBitsMax, seed: other }
  await turn()
  asked = { bits: 8, seed: other }
  expect(isGood(await search.found, 8, other)).toBe(true)

  const idle = start(solver, () => undefined)
  expect(await idle.found).toBeUndefined()
})

test('never works for more than the bound, whatever is asked', async () => {
  const solver = new EffortSolver(network, clientId, 6)
  const nonce = await start(solver, () => ({ bits: 200, seed })).found
  expect(isGood(nonce, 6)).toBe(true)
  expect(limits.effortBitsMax).toBe(genesisParams.effortBitsMax)
})
