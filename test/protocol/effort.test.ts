import { expect, test } from 'vitest'
import { isStampEnough, leadingZeroBits } from '../../machines/trust/index.ts'
import {
  EffortHash,
  type EffortTask,
  inferenceNetwork,
  toEffortNonce,
  toTopic,
} from '../../protocol/index.ts'

const task: EffortTask = {
  network: toTopic({ network: inferenceNetwork }),
  workerId: '01'.repeat(32),
  clientId: '02'.repeat(32),
  requestId: '03'.repeat(16),
  seed: '04'.repeat(16),
}

const hashOf = (nonce: number, over: Partial<EffortTask> = {}): string =>
  Buffer.from(new EffortHash({ ...task, ...over }).of(nonce)).toString('hex')

test('a nonce has the same hash as a number and as it goes with a prompt', () => {
  const hash = new EffortHash(task)
  for (const nonce of [0, 1, 255, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, Number.MAX_SAFE_INTEGER]) {
    const text = toEffortNonce(nonce)
    expect(text).toMatch(/^[0-9a-f]{16}$/)
    const asNumber = Buffer.from(hash.of(nonce))
    expect(Buffer.from(hash.ofHex(text))).toEqual(asNumber)
  }
})

test('the hash depends on every part of the task, and is the one that the protocol’s page states', () => {
  const others: Partial<EffortTask>[] = [
    {},
    { network: toTopic({ network: inferenceNetwork, secret: 'x' }) },
    { workerId: task.clientId },
    { clientId: task.workerId },
    { workerId: task.clientId, clientId: task.workerId },
    { requestId: task.seed },
    { seed: task.requestId },
    { requestId: task.seed, seed: task.requestId },
  ]
  expect(new Set(others.map((other) => hashOf(0, other))).size).toBe(others.length)
  expect(hashOf(0)).toMatchInlineSnapshot(
    `"feb39b90947dc65d28be450b397165dca71d38f1a836db149ce1d3997cc526be"`,
  )
  const hash = new EffortHash(task)
  let nonce = 0
  while (!isStampEnough(hash.of(nonce), 16)) nonce++
  expect(toEffortNonce(nonce)).toMatchInlineSnapshot(`"0000000000004924"`)
  expect(leadingZeroBits(hash.of(nonce))).toBeGreaterThanOrEqual(16)
})
