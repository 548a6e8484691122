import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { createActor } from 'xstate'
import type { WorkerWire } from '../../actors/peer/wire.ts'
import type { RequesterCommand } from '../../machines/request/index.ts'
import type { ClientMessage } from '../../protocol/index.ts'
import { createClientSide } from '../../runtime/client-side.ts'
import { modelAd, samples } from '../support/messages.ts'

const workerId = 'a'.repeat(64)

const createWire = (heard: ClientMessage[] = []): WorkerWire => ({
  peerId: workerId,
  life: { heardAtMs: Infinity, silenceMsMax: 0, ping: () => {}, sample: () => {} },
  send: (message) => heard.push(message) > 0,
})

test('a worker that came back before its old connection ended stays known', () => {
  const client = createClientSide({
    selfId: 'f'.repeat(64),
    now: () => 0,
    logger: pino({ level: 'silent' }),
    requester: () => undefined,
    isOnline: () => true,
    onWorkers: () => {},
  })
  const open = (): WorkerWire => {
    const wire = createWire()
    client.dispatcher.opened(wire)
    client.hello(workerId, { ...samples.hello, models: [modelAd] })
    return wire
  }
  const close = (wire: WorkerWire): void => {
    client.dispatcher.closed(wire)
    client.closed(workerId)
  }
  const known = () => client.directory.list(0).map((worker) => worker.workerId)
  const [old, current] = [open(), open()]
  close(old)
  expect(known()).toEqual([workerId])
  close(current)
  expect(known()).toEqual([])
})

test.each([
  ['as long as it asked for', 20_000, 20_000],
  ['no longer than a claim is worth', 3_600_000, 30_000],
])('a worker that refuses is left alone %s', async (_, retryAfterMs, pauseMs) => {
  let nowMs = 1_000
  let requester: { send(command: RequesterCommand): void } | undefined
  const client = createClientSide({
    selfId: 'f'.repeat(64),
    now: () => nowMs,
    logger: pino({ level: 'silent' }),
    requester: () => requester,
    isOnline: () => true,
    onWorkers: () => {},
  })
  const actor = createActor(client.asker.createRequester(), { input: { requestsMax: 10 } }).start()
  onTestFinished(() => void actor.stop())
  requester = actor
  const heard: ClientMessage[] = []
  const wire = createWire(heard)
  client.dispatcher.opened(wire)
  client.hello(workerId, { ...samples.hello, models: [modelAd] })
  const answer = client.asker.ask('hello')
  await new Promise((resolve) => setImmediate(resolve))
  const requestId = heard[0]?.type === 'prompt' ? heard[0].requestId : ''
  client.dispatcher.received(wire, {
    type: 'inference_error',
    requestId,
    code: 'QM_OVERLOADED',
    message: 'busy',
    retryAfterMs,
  })
  await expect(answer.result).rejects.toMatchObject({ code: 'QM_OVERLOADED', retryAfterMs })
  const barred = () => client.directory.list(nowMs)[0]?.barred
  nowMs += pauseMs - 1
  expect(barred()).toBe('refused-lately')
  nowMs += 2
  expect(barred()).toBeUndefined()
})
