import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { WorkerWire } from '../../actors/peer/wire.ts'
import { createClientSide } from '../../runtime/client-side.ts'
import { modelAd, samples } from '../support/messages.ts'

const workerId = 'a'.repeat(64)

const createWire = (): WorkerWire => ({
  peerId: workerId,
  life: { heardAtMs: 0, silenceMsMax: 0, ping: () => {}, sample: () => {} },
  send: () => {},
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
