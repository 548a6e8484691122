import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isStampEnough } from '../../machines/trust/index.ts'
import { EffortHash, type EffortTask, toEffortNonce } from '../../protocol/index.ts'

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array))
const hex = (length: number) => bytes(length).map((array) => array.toString('hex'))

const tasks: fc.Arbitrary<EffortTask> = fc.record({
  network: bytes(32),
  workerId: hex(32),
  clientId: hex(32),
  requestId: hex(16),
  seed: hex(16),
})

function solve(task: EffortTask, bits: number): number {
  const hash = new EffortHash(task)
  let nonce = 0
  while (!isStampEnough(hash.of(nonce), bits)) nonce++
  return nonce
}

const flip = (text: string, bit: number): string => {
  const flipped = Buffer.from(text, 'hex')
  const index = Math.floor(bit / 8) % flipped.length
  flipped[index] = (flipped[index] ?? 0) ^ (1 << (bit % 8))
  return flipped.toString('hex')
}

test('a solution is none any more when any bit of the nonce or of what it is for is another', () => {
  const parts = ['network', 'workerId', 'clientId', 'requestId', 'seed', 'nonce'] as const
  let [flips, passed] = [0, 0]
  fc.assert(
    fc.property(tasks, fc.constantFrom(...parts), fc.nat(255), (task, part, bit) => {
      const nonce = toEffortNonce(solve(task, 16))
      expect(isStampEnough(new EffortHash(task).ofHex(nonce), 16)).toBe(true)
      const other = {
        ...task,
        ...(part === 'network'
          ? { network: Buffer.from(flip(Buffer.from(task.network).toString('hex'), bit), 'hex') }
          : part !== 'nonce' && { [part]: flip(task[part], bit) }),
      }
      const said = part === 'nonce' ? flip(nonce, bit) : nonce
      flips++
      if (isStampEnough(new EffortHash(other).ofHex(said), 16)) passed++
    }),
    { numRuns: 60 },
  )
  // Each has a chance of one in 65,536: two in as few as these are no chance.
  expect(passed).toBeLessThan(2 + flips / 4_096)
})

test('a solution of few bits is found, and each bit doubles the work', () => {
  const rounds = 300
  const tries = Array.from({ length: 9 }, () => 0)
  fc.assert(
    fc.property(tasks, fc.nat(8), (task, bits) =>
      isStampEnough(new EffortHash(task).of(solve(task, bits)), bits),
    ),
  )
  const base = fc.sample(tasks, 1)[0]
  if (!base) throw new Error('no sample')
  for (let round = 0; round < rounds; round++) {
    const task = { ...base, requestId: round.toString(16).padStart(32, '0') }
    for (const bits of tries.keys()) tries[bits] = (tries[bits] ?? 0) + solve(task, bits) + 1
  }
  // The number of tries is geometric: its mean over so many rounds is off by a twentieth, and hardly ever by six times that.
  for (const [bits, sum] of tries.entries()) {
    expect(sum / rounds / 2 ** bits).toBeGreaterThan(0.65)
    expect(sum / rounds / 2 ** bits).toBeLessThan(1.4)
  }
})
