import { describe, expect, it } from 'vitest'
import type { ClientWire } from '../../actors/peer/wire.ts'
import type { PauseReason } from '../../machines/duty/index.ts'
import { newcomersOnly, type SchedulerCommand } from '../../machines/scheduling/index.ts'
import { createRequestId, defaultSampling, type WorkerMessage } from '../../protocol/index.ts'
import { WorkerSide } from '../../runtime/worker-side.ts'
import { effortNetwork as network } from '../support/effort.ts'
import { idleHost } from './support/idle-host.ts'

const selfId = 'a'.repeat(64)
const strangerId = 'b'.repeat(64)

/** A worker whose other parts are of paper. `log` has what it said, in order. */
function createRig() {
  const log: string[] = []
  const submitted: string[] = []
  const scheduler = {
    send: (command: SchedulerCommand) => {
      if (command.type === 'request.submit') submitted.push(command.jobId)
      if (command.type === 'request.cancel') log.push('withdrawn')
    },
  }
  const worker = new WorkerSide({
    selfId,
    now: () => 0,
    network,
    queueCapacity: 10,
    pauseWhenBusy: true,
    precedence: newcomersOnly,
    scheduler: () => scheduler,
    inference: () => ({ send: () => {} }),
    onChanged: () => {},
    onUrgent: () => log.push(`accepting: ${worker.status().accepting}`),
  })
  worker.hosts.set('tiny', idleHost)
  const toWire = (peerId: string, name: string): ClientWire => ({
    peerId,
    send: (message: WorkerMessage) => {
      if (message.type === 'inference_error') log.push(`${name}: ${message.code}`)
    },
  })
  const wires = { own: toWire(selfId, 'own'), stranger: toWire(strangerId, 'stranger') }
  const ask = async (who: keyof typeof wires): Promise<string> => {
    const count = submitted.length
    worker.intake.received(wires[who], {
      type: 'prompt',
      requestId: createRequestId(),
      modelId: 'tiny',
      prompt: 'hi',
      sampling: defaultSampling,
      maxTokens: 8,
      stop: [],
    })
    await new Promise<void>((resolve) => void setImmediate(resolve))
    return submitted[count] ?? ''
  }
  const run = (jobId: string): void => {
    worker.intake.run(jobId, { firstToken: () => {}, finished: () => {}, failed: () => {} })
  }
  return { worker, log, ask, run }
}

describe('a worker with a reason to pause', () => {
  it.each<[readonly PauseReason[], string]>([
    [['owner'], 'QM_DRAINING'],
    [['quiet-hours'], 'QM_DRAINING'],
    [['battery'], 'QM_DRAINING'],
    [['load'], 'QM_OVERLOADED'],
    [['owner', 'load'], 'QM_DRAINING'],
  ])(
    '%j: says so first, then refuses who waits and who comes with %s, but never its owner',
    async (pauses, code) => {
      const { worker, log, ask, run } = createRig()
      run(await ask('stranger'))
      await ask('stranger')
      await ask('own')
      worker.dutyChanged(pauses)
      expect(log.splice(0)).toEqual(['accepting: false', 'withdrawn', `stranger: ${code}`])
      expect(worker.intake.size).toBe(2)
      expect(worker.status()).toMatchObject({ accepting: false, draining: true })
      expect(worker.localStatus()).toMatchObject({ accepting: true })
      expect(worker.localStatus()).not.toHaveProperty('draining')
      expect(await ask('stranger')).toBe('')
      expect(log.splice(0)).toEqual([`stranger: ${code}`])
      expect(await ask('own')).not.toBe('')

      worker.dutyChanged([])
      expect(log.splice(0)).toEqual(['accepting: true'])
      expect(worker.status()).not.toHaveProperty('draining')
      expect(await ask('stranger')).not.toBe('')
    },
  )

  it('refuses its owner, too, when the node stops', async () => {
    const { worker, log, ask, run } = createRig()
    run(await ask('own'))
    await ask('own')
    worker.dutyChanged(['shutdown'])
    expect(log.splice(0)).toEqual(['accepting: false', 'withdrawn', 'own: QM_DRAINING'])
    expect(worker.intake.size).toBe(1)
    expect(worker.localStatus()).toMatchObject({ accepting: false, draining: true })
    await ask('own')
    expect(log).toEqual(['own: QM_DRAINING'])
  })

  it('says whether other programs need all of the machine', () => {
    const { worker } = createRig()
    expect(worker.isOverloaded).toBe(false)
    worker.healthChanged({ score: 10, state: 'overloaded', capacityShare: 0 })
    expect(worker.isOverloaded).toBe(true)
    worker.healthLost()
    expect(worker.isOverloaded).toBe(false)
  })
})

describe('a worker whose queue is nearly full', () => {
  it('tells others what work it asks for, never its owner, and nothing once the queue is gone', () => {
    const { worker } = createRig()
    expect(worker.status()).not.toHaveProperty('effort')
    worker.scheduled({ type: 'effort.changed', bits: 3 })
    expect(worker.status().effort).toMatchObject({ bits: 3 })
    expect(worker.effortBits).toBe(3)
    expect(worker.localStatus()).not.toHaveProperty('effort')
    worker.schedulerLost()
    expect(worker.effortBits).toBe(0)
    expect(worker.status()).not.toHaveProperty('effort')
  })
})
