import { expect, test } from 'vitest'
import { EffortGate, type EffortGateOptions } from '../../../actors/scheduling/effort-gate.ts'
import type { EffortTask } from '../../../protocol/index.ts'
import { effortNetwork as network, solveEffort } from '../../support/effort.ts'

const workerId = 'a'.repeat(64)
const clientId = 'c'.repeat(64)
const idOf = (request: number): string => request.toString(16).padStart(32, '0')

function createRig(options: Partial<EffortGateOptions> = {}) {
  const clock = { ms: 0 }
  let changes = 0
  const gate = new EffortGate({
    workerId,
    network,
    now: () => clock.ms,
    onChanged: () => changes++,
    graceMs: 5_000,
    ...options,
  })
  const seed = (): string => gate.asked?.seed ?? 'nothing is asked'
  const solve = (request: number, bits: number, over: Partial<EffortTask> = {}): string =>
    solveEffort({ network, workerId, clientId, requestId: idOf(request), seed: seed(), ...over }, bits, true)
  const check = (request: number, effortNonce?: string, by = clientId) =>
    gate.check(by, { requestId: idOf(request), effortNonce })
  /** Asks for so many bits, and has done so for long. */
  const ask = (bits: number): void => {
    gate.ask(bits)
    clock.ms += 5_000
  }
  return { gate, clock, seed, solve, check, ask, changes: () => changes }
}

test('while nothing is asked everything is enough, and nothing is said', () => {
  const { gate, check } = createRig()
  expect(gate.asked).toBeUndefined()
  expect([check(1), check(1, 'f'.repeat(16))]).toEqual(['enough', 'enough'])
})

test('what is asked is needed, more is as good, and less is not', () => {
  const { ask, check, solve } = createRig()
  ask(6)
  expect(check(1)).toBe('missing')
  expect(check(1, solve(1, 5))).toBe('missing')
  expect(check(1, solve(1, 6))).toBe('enough')
  expect(check(2, solve(2, 9))).toBe('enough')
})

test('a solution is good for one worker, client, request, seed and network', () => {
  const { ask, check, solve } = createRig()
  ask(16)
  const others: Partial<EffortTask>[] = [
    { workerId: clientId },
    { clientId: workerId },
    { requestId: idOf(2) },
    { seed: '0'.repeat(32) },
    { network: Buffer.alloc(32) },
  ]
  expect(others.map((other) => check(1, solve(1, 16, other)))).toEqual(others.map(() => 'missing'))
  expect(check(1, solve(1, 16), workerId)).toBe('missing')
  expect(check(1, solve(1, 16))).toBe('enough')
})

test('a solution is good once, and so is a request', () => {
  const { ask, check, solve } = createRig()
  ask(4)
  const nonce = solve(1, 4)
  expect(check(1, nonce)).toBe('enough')
  expect(check(1, nonce)).toBe('used')
  expect(check(1, solve(1, 7))).toBe('used')
})

test('the least of what was asked in the last seconds is enough', () => {
  const { gate, clock, ask, check, solve } = createRig()
  gate.ask(1)
  expect(check(1)).toBe('enough')
  clock.ms += 4_999
  expect(check(2)).toBe('enough')
  clock.ms += 1
  expect(check(3)).toBe('missing')
  ask(3)
  gate.ask(4)
  clock.ms += 2_000
  gate.ask(5)
  expect(check(4, solve(4, 3))).toBe('enough')
  clock.ms += 3_000
  expect(check(5, solve(5, 3))).toBe('missing')
  expect(check(6, solve(6, 4))).toBe('enough')
  gate.ask(2)
  expect(check(7, solve(7, 2))).toBe('enough')
})

test('another seed is drawn when one is old or much used; the one before is good for a while, still once', () => {
  const { gate, clock, ask, check, solve, seed, changes } = createRig({ seedMs: 100_000, solutionsMax: 3 })
  ask(12)
  const old = seed()
  const first = solve(1, 12)
  expect([check(1, first), check(2, solve(2, 12)), check(3, solve(3, 12))]).toEqual(Array(3).fill('enough'))
  const told = changes()
  const late = solve(4, 12)
  expect(check(4, late)).toBe('enough')
  expect(seed()).not.toBe(old)
  expect(changes()).toBe(told + 1)
  expect([check(4, late), check(1, first)]).toEqual(['used', 'used'])
  clock.ms += 60_000
  expect(check(5, solve(5, 12, { seed: old }))).toBe('missing')
  expect(check(1, first)).toBe('missing')
  const second = seed()
  clock.ms += 40_000
  check(6)
  expect(seed()).not.toBe(second)
  gate.ask(0)
  expect(gate.asked).toBeUndefined()
})

test('what is remembered is bounded', () => {
  const { gate, ask } = createRig({ solutionsMax: 10 })
  ask(1)
  const seeds = new Set<string>()
  for (let request = 0; request < 200; request++) {
    const seed = gate.asked?.seed ?? ''
    seeds.add(seed)
    const task = { network, workerId, clientId, requestId: idOf(request), seed }
    gate.check(clientId, { requestId: idOf(request), effortNonce: solveEffort(task, 1) })
  }
  expect(seeds.size).toBeGreaterThanOrEqual(19)
})
