import { expect, onTestFinished, test, vi } from 'vitest'
import { createActor } from 'xstate'
import { Asker } from '../../../actors/request/asker.ts'
import { EffortDesk } from '../../../actors/request/effort-desk.ts'
import { EffortGate } from '../../../actors/scheduling/effort-gate.ts'
import type { Effort } from '../../../protocol/index.ts'
import { effortNetwork as network } from '../../support/effort.ts'
import { createRig, type Rig, type ScriptedWorker, settled, toFinish } from './rig.ts'

const clientId = 'c'.repeat(64)

/** A client that works for those who ask, and workers that check it. Its clock stands still but for the searches. */
function createEffortRig({ isExempt }: { readonly isExempt?: (workerId: string) => boolean } = {}) {
  const rig = createRig()
  const insisted: [string, number][] = []
  const desk = new EffortDesk({
    clientId,
    network,
    isExempt,
    onInsisted: (workerId, bits) => insisted.push([workerId, bits]),
  })
  const asker = new Asker({ ...rig.ports, effort: desk, requester: () => requester })
  const requester = createActor(asker.createRequester(), { clock: rig.clock, input: { requestsMax: 8 } })
  requester.start()
  onTestFinished(() => void requester.stop())
  const gateOf = (worker: ScriptedWorker, bits: number): EffortGate => {
    const gate = new EffortGate({
      workerId: worker.peerId,
      network,
      now: () => rig.clock.now(),
      onChanged: () => {},
      graceMs: 0,
    })
    gate.ask(bits)
    return gate
  }
  return { rig, desk, asker, insisted, gateOf }
}

const refuse = (worker: ScriptedWorker, effort: Effort | undefined) =>
  worker.say({
    type: 'inference_error',
    requestId: worker.requestId,
    code: 'QM_EFFORT_REQUIRED',
    message: 'work',
    ...(effort && { effort }),
  })

/** Until the worker has been sent so many prompts. */
const prompted = (worker: ScriptedWorker, count: number): Promise<void> =>
  vi.waitFor(() => expect(worker.heard.filter(({ type }) => type === 'prompt')).toHaveLength(count), {
    timeout: 10_000,
    interval: 1,
  })

const failures = (rig: Rig) => rig.standing.filter(([what]) => what === 'failed')

test('a prompt is sent when the work that its worker announced is done, and not before', async () => {
  const { rig, desk, asker, gateOf } = createEffortRig()
  const worker = rig.addWorker()
  const gate = gateOf(worker, 10)
  desk.told(worker.peerId, gate.asked)
  const answer = asker.ask('hello')
  await Promise.resolve()
  expect(worker.heard).toEqual([])
  await prompted(worker, 1)
  expect(gate.check(clientId, worker.prompt)).toBe('enough')
  worker.tokens(0, 2, toFinish(2))
  expect((await answer.result).attempts).toHaveLength(1)
})

test('a worker that turns a prompt down for want of work gets it again with the work, as one attempt', async () => {
  const { rig, asker, insisted, gateOf } = createEffortRig()
  const worker = rig.addWorker()
  const gate = gateOf(worker, 8)
  const answer = asker.ask('hello')
  await settled()
  const { requestId } = worker
  expect(gate.check(clientId, worker.prompt)).toBe('missing')
  expect(refuse(worker, gate.asked)).toBe('ok')
  await prompted(worker, 2)
  expect(worker.requestId).not.toBe(requestId)
  expect(gate.check(clientId, worker.prompt)).toBe('enough')
  worker.position(0)
  worker.tokens(0, 1, toFinish(1))
  expect((await answer.result).attempts).toHaveLength(1)
  expect(insisted).toEqual([[worker.peerId, 8]])
  expect(failures(rig)).toEqual([])
})

test('who has earned it does not work, unless the worker does not know that', async () => {
  const { rig, desk, asker, gateOf } = createEffortRig({ isExempt: () => true })
  const worker = rig.addWorker()
  const gate = gateOf(worker, 8)
  desk.told(worker.peerId, gate.asked)
  const answer = asker.ask('hello')
  await settled()
  expect(worker.prompt.effortNonce).toBeUndefined()
  refuse(worker, gate.asked)
  await prompted(worker, 2)
  expect(gate.check(clientId, worker.prompt)).toBe('enough')
  worker.tokens(0, 1, toFinish(1))
  await answer.result
  desk.told(worker.peerId, undefined)
  expect(desk.asked(worker.peerId)).toBeUndefined()
  desk.told(worker.peerId, gate.asked)
  expect(desk.asked(worker.peerId)).toBeUndefined()
})

test('a worker that wants much more than it announced is left, as one that refuses', async () => {
  const { rig, asker, insisted } = createEffortRig()
  const [greedy, fair] = [rig.addWorker(), rig.addWorker()]
  const answer = asker.ask('hello')
  await settled()
  refuse(greedy, { bits: 24, seed: '0'.repeat(32) })
  await prompted(fair, 1)
  fair.tokens(0, 1, toFinish(1))
  expect((await answer.result).workerId).toBe(fair.peerId)
  expect(failures(rig)).toEqual([['failed', greedy.peerId, 'QM_EFFORT_REQUIRED']])
  expect(insisted).toEqual([[greedy.peerId, 24]])
})

test('a worker that is never content is left after a few times, and so is one that takes no work at all', async () => {
  const { rig, asker } = createEffortRig()
  const [greedy, odd, fair] = [rig.addWorker(), rig.addWorker(), rig.addWorker()]
  const answer = asker.ask('hello')
  for (let times = 1; times <= 3; times++) {
    await prompted(greedy, times)
    refuse(greedy, { bits: 2 + times, seed: '0'.repeat(32) })
  }
  await prompted(odd, 1)
  refuse(odd, undefined)
  await prompted(fair, 1)
  fair.tokens(0, 1, toFinish(1))
  const { attempts } = await answer.result
  expect(attempts.map(({ code }) => code)).toEqual(['QM_EFFORT_REQUIRED', 'QM_EFFORT_REQUIRED', undefined])
})

test('a worker that wants much more while the client works is left, as one that refuses', async () => {
  const { rig, desk, asker } = createEffortRig()
  const [greedy, fair] = [rig.addWorker(), rig.addWorker()]
  desk.told(greedy.peerId, { bits: 21, seed: '0'.repeat(32) })
  const answer = asker.ask('hello')
  await settled()
  desk.told(greedy.peerId, { bits: 24, seed: '1'.repeat(32) })
  await prompted(fair, 1)
  fair.tokens(0, 1, toFinish(1))
  expect((await answer.result).workerId).toBe(fair.peerId)
  expect(failures(rig)).toEqual([['failed', greedy.peerId, 'QM_EFFORT_REQUIRED']])
  expect(greedy.heard).toEqual([])
})

test('work ends with the request, and with the connection', async () => {
  const { rig, desk, asker } = createEffortRig()
  const worker = rig.addWorker()
  const hard = { bits: 24, seed: '0'.repeat(32) }
  desk.told(worker.peerId, hard)
  const search = vi.spyOn(desk, 'search')
  const looks = vi.spyOn(desk, 'asked')
  const isAtRest = async (): Promise<void> => {
    const before = looks.mock.calls.length
    for (let turn = 0; turn < 5; turn++) await settled()
    expect(looks.mock.calls.length).toBe(before)
  }
  const cancelled = asker.ask('hello')
  await settled()
  cancelled.cancel()
  await expect(cancelled.result).rejects.toMatchObject({ code: 'QM_CANCELLED' })
  await isAtRest()

  const late = asker.ask('hello', { deadlineMs: 1_000 })
  await settled()
  rig.pass(1_000)
  await expect(late.result).rejects.toMatchObject({ code: 'QM_DEADLINE_PASSED' })
  await isAtRest()

  const moved = asker.ask('hello', { discoverMs: 100, attemptsMax: 1 })
  await settled()
  worker.disconnect()
  await settled()
  await settled()
  rig.pass(200)
  await expect(moved.result).rejects.toMatchObject({ code: 'QM_WORKER_LOST' })
  await isAtRest()
  expect(search).toHaveBeenCalledTimes(3)
  expect(worker.heard).toEqual([])
})

test('while it works, a worker that is going is left for another', async () => {
  const { rig, desk, asker } = createEffortRig()
  const [going, other] = [rig.addWorker(), rig.addWorker()]
  desk.told(going.peerId, { bits: 24, seed: '0'.repeat(32) })
  const answer = asker.ask('hello')
  await settled()
  rig.leaving.add(going.peerId)
  rig.pass(500)
  await prompted(other, 1)
  other.tokens(0, 1, toFinish(1))
  expect((await answer.result).workerId).toBe(other.peerId)
  expect(going.heard).toEqual([])
})

test('the time of the work is not held against the worker', async () => {
  const { rig, desk, asker } = createEffortRig()
  const worker = rig.addWorker()
  const asked = { bits: 24, seed: '0'.repeat(32) }
  desk.told(worker.peerId, asked)
  const answer = asker.ask('hello')
  await settled()
  rig.pass(3_000)
  desk.told(worker.peerId, undefined)
  await prompted(worker, 1)
  rig.pass(30)
  worker.tokens(0, 1, toFinish(1))
  await answer.result
  expect(rig.standing).toContainEqual([
    'firstToken',
    worker.peerId,
    { promptTokens: expect.any(Number), ms: 30 },
  ])
})
