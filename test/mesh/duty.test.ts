import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLlamaEngine } from '../../actors/inference/llama/llama-engine.ts'
import type { Battery } from '../../machines/duty/index.ts'
import { configFromOptions } from '../../runtime/config/index.ts'
import { createEphemeralIdentity } from '../../runtime/identity.ts'
import type { Answer, QMeshClient } from '../../runtime/index.ts'
import { inferenceWorkerUrl } from '../../runtime/inference-worker.ts'
import { NodeSystem } from '../../runtime/node-system.ts'
import { freePort } from '../support/free-port.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import { createTestMesh } from './support/mesh.ts'

const event = (answer: Answer, name: 'started' | 'queued'): Promise<void> =>
  new Promise((resolve) => {
    answer.on(name, () => resolve())
  })

/** Reads one chunk and no more: the worker then holds the slot for its reader. */
async function hold(client: QMeshClient): Promise<Answer> {
  // Who looks for another worker in vain is not to look for long.
  const answer = client.ask('hold the slot', { maxTokens: 400, temperature: 0, discoverMs: 2_000 })
  const started = event(answer, 'started')
  void answer[Symbol.asyncIterator]().next()
  await started
  return answer
}

describe('a worker that drains', () => {
  it('says so at once, sends away who waits, and serves again after resume', async () => {
    const mesh = await createTestMesh()
    const first = await mesh.worker({ models: [mesh.model({ slots: 1 })] })
    const client = await mesh.client()
    const held = await hold(client)
    const waiting = client.ask('waiting', { maxTokens: 8, temperature: 0 })
    await event(waiting, 'queued')
    const second = await mesh.worker()
    const accepting = () =>
      client
        .workers()
        .filter(({ accepting, models }) => accepting && models.length > 0)
        .map(({ workerId }) => workerId)
    await expect.poll(accepting).toHaveLength(2)

    const acceptingWhenSentAway = new Promise((resolve) => {
      waiting.on('attemptFailed', () => resolve(accepting()))
    })
    expect(first.drain().health).toMatchObject({ accepting: false, pausedBy: ['owner'] })
    // Whoever is sent away knows already that there is no coming back: the word was not kept for the next second.
    expect(await acceptingWhenSentAway).toEqual([second.id])
    const { workerId, attempts } = await waiting.result
    expect(workerId).toBe(second.id)
    expect(attempts[0]).toMatchObject({ workerId: first.id, code: 'QM_DRAINING' })
    expect((await client.ask('next', { maxTokens: 4 }).result).workerId).toBe(second.id)
    // The owner's own questions are answered as ever.
    held.cancel()
    const own = await first.ask('mine', { maxTokens: 4, localOnly: true }).result
    expect(own.workerId).toBe(first.id)

    expect(first.resume().health.pausedBy).toBeUndefined()
    await expect.poll(accepting).toHaveLength(2)
    await second.stop()
    await expect.poll(accepting).toEqual([first.id])
    expect((await client.ask('again', { maxTokens: 4 }).result).workerId).toBe(first.id)
  })

  it('sees its running streams move to another worker, and the client can tell why', async () => {
    const mesh = await createTestMesh()
    const workers = [await mesh.worker(), await mesh.worker()]
    const client = await mesh.client()
    const known = () => client.workers().filter(({ models }) => models.length > 0)
    await expect.poll(known).toHaveLength(2)
    const options = { maxTokens: 300, temperature: 0 }
    const answer = client.ask('move me', options)
    let firstId = ''
    answer.on('worker', ({ workerId, attempt }) => {
      if (attempt === 0) firstId = workerId
    })
    let text = ''
    for await (const chunk of answer) {
      // The worker is ahead of its reader by no more than the window: it cannot have finished when it drains.
      if (text === '') {
        workers.find(({ id }) => id === firstId)?.drain()
        await expect.poll(() => client.why(answer.requestId).tries).toBe(2)
      }
      text += chunk.text
    }
    const result = await answer.result
    const [left, taker] = result.attempts
    expect(left).toMatchObject({ workerId: firstId, code: 'QM_DRAINING' })
    expect(taker?.workerId).toBe(result.workerId)
    expect(result.workerId).not.toBe(firstId)
    expect(text).toBe(await workers[0]?.ask('move me', { ...options, localOnly: true }).text())

    const why = client.why(result.requestId.slice(0, 8), { replay: true })
    expect(why).toMatchObject({ state: 'answered', tries: 2, handovers: 1, tokens: 300 })
    expect(why.attempts.map(({ workerId, tokens, code }) => ({ workerId, tokens, code }))).toEqual(
      result.attempts.map(({ workerId, tokens, code }) => ({ workerId, tokens, code })),
    )
    expect(why.attempts[1]?.handover?.afterTokens).toBe(left?.tokens)
    expect(why.attempts[1]?.choice?.reasons).toContainEqual({ workerId: firstId, rejected: 'excluded' })
    expect(why.attempts.map(({ choice }) => choice?.isReproduced)).toEqual([true, true])
    expect(client.requests()[0]).toMatchObject({ requestId: result.requestId, handovers: 1 })
  })

  it.each(['drain', 'stop'] as const)(
    'at its %s without another worker goes on with what runs, to its end',
    async (how) => {
      const mesh = await createTestMesh()
      const worker = await mesh.worker({ models: [mesh.model({ slots: 1 })] })
      const client = await mesh.client()
      const running = client.ask('running', { maxTokens: 200, temperature: 0 })
      await event(running, 'started')
      const over = worker[how]()
      const result = await running.result
      expect(result.usage.completionTokens).toBe(200)
      expect(result.attempts).toHaveLength(1)
      await over
      await expect(client.ask('late', { maxTokens: 4, discoverMs: 300 }).result).rejects.toMatchObject({
        code: expect.stringMatching(/^QM_(OVERLOADED|NO_WORKERS)$/),
      })
    },
  )
})

describe('a worker whose surroundings change', () => {
  it('pauses for quiet hours and a low battery, and then serves again', async () => {
    const root = mkdtempSync(join(tmpdir(), 'qmesh-test-'))
    const path = writeTinyGguf(join(root, 'tiny.gguf'), { isEndless: true })
    const identity = createEphemeralIdentity()
    const world = { hour: 12, battery: undefined as Battery | undefined }
    const system = new NodeSystem({
      selfId: identity.id,
      config: configFromOptions({
        dataDir: root,
        gpuLayers: 0,
        threads: 1,
        pauseWhenBusy: false,
        quietHours: ['22:00-07:00'],
        batteryMin: 40,
      }),
      swarmSettings: {
        seed: identity.deriveSeed('noise'),
        agent: 'test',
        roles: ['worker', 'client'],
        bootstrap: [{ host: '127.0.0.1', port: 9 }],
        mdns: false,
        port: await freePort(),
      },
      models: [{ id: 'tiny', path, contextTokens: 512, slots: 1 }],
      engine: createLlamaEngine({ workerUrl: inferenceWorkerUrl }),
      logger: pino({ level: 'silent' }),
      onKnownNodes: () => {},
      surroundings: {
        now: () => new Date(2024, 0, 1, world.hour),
        battery: () => Promise.resolve(world.battery),
      },
    })
    onTestFinished(async () => {
      await system.stop()
      rmSync(root, { recursive: true })
    })
    system.start()
    const { worker } = system
    await expect.poll(() => worker.models[0]?.state).toBe('ready')
    const paused = (reasons: readonly string[]) =>
      expect.poll(() => worker.pauses, { interval: 20 }).toEqual(reasons)
    expect(worker.status()).toMatchObject({ accepting: true })
    expect(worker.status().draining).toBeUndefined()
    world.hour = 23
    await paused(['quiet-hours'])
    expect(worker.status()).toMatchObject({ accepting: false, draining: true })
    expect(worker.localStatus()).toMatchObject({ accepting: true })
    expect(worker.localStatus().draining).toBeUndefined()
    world.battery = { percent: 39, isDischarging: true }
    await paused(['quiet-hours', 'battery'])
    world.hour = 8
    await paused(['battery'])
    expect((await system.client.asker.ask('mine', { maxTokens: 4 }).result).usage.completionTokens).toBe(4)
    world.battery = { percent: 39, isDischarging: false }
    await paused([])
    expect(worker.status()).toMatchObject({ accepting: true })

    // A part that is started again does not forget what the owner said.
    system.setDrained(true)
    const restarted = new Promise((resolve) => {
      system.events.once('restarting', resolve)
    })
    const unreadable = Object.defineProperty({ type: 'load.reported' }, 'isOverloaded', {
      get: () => {
        throw new Error('told to fail')
      },
    })
    system.actor.system.get('duty')?.send(unreadable)
    expect(await restarted).toBe('duty')
    expect(worker.pauses).toEqual(['owner'])
    expect(() => system.setDrained(false)).toThrow(expect.objectContaining({ code: 'QM_ACTOR_GAVE_UP' }))
    await expect.poll(() => system.actor.system.get('duty')).toBeDefined()
    system.setDrained(false)
    expect(worker.pauses).toEqual([])
  })

  it('that stops refuses everybody, its owner too', async () => {
    const mesh = await createTestMesh()
    const worker = await mesh.worker({ models: [mesh.model({ slots: 1 })], drainSeconds: 1 })
    const client = await mesh.client()
    const held = await hold(client)
    const own = worker.ask('mine', { maxTokens: 8, localOnly: true })
    await event(own, 'queued')
    const startedAtMs = performance.now()
    const stopped = worker.stop()
    await expect(own.result).rejects.toMatchObject({
      code: expect.stringMatching(/^QM_(DRAINING|NODE_STOPPED|OVERLOADED)$/),
    })
    await expect.poll(() => client.workers()[0]?.accepting).not.toBe(true)
    await stopped
    // The held answer had until the deadline and no longer.
    expect(performance.now() - startedAtMs).toBeGreaterThan(900)
    await expect(held.result).rejects.toMatchObject({ code: expect.stringMatching(/^QM_/) })
  })
})
