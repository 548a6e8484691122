import type { Worker } from 'node:worker_threads'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { Engine, GenerateRequest, TokenChunk } from '../../actors/inference/engine.port.ts'
import { createLlamaEngine } from '../../actors/inference/llama/llama-engine.ts'
import { limits } from '../../protocol/index.ts'
import { configFromOptions } from '../../runtime/config/index.ts'
import { createEphemeralIdentity } from '../../runtime/identity.ts'
import { inferenceWorkerUrl } from '../../runtime/inference-worker.ts'
import { NodeSystem } from '../../runtime/node-system.ts'
import type { SubsystemName } from '../../machines/node/subsystem.machine.ts'
import { freePort } from '../support/free-port.ts'
import { writeTinyGguf } from '../support/tiny-gguf.ts'

/** The engine, and how many tokens it has handed out. */
function counted(engine: Engine): Engine & { tokens: number } {
  const counting = {
    tokens: 0,
    load: async (...args: Parameters<Engine['load']>) => {
      const host = await engine.load(...args)
      return {
        model: host.model,
        lost: host.lost,
        prepare: (request: GenerateRequest) => host.prepare(request),
        release: (jobId: string) => host.release(jobId),
        close: () => host.close(),
        generate: (jobId: string, onChunk: (chunk: TokenChunk) => void) =>
          host.generate(jobId, (chunk) => {
            counting.tokens += chunk.tokens.length
            onChunk(chunk)
          }),
      }
    },
  }
  return counting
}

/** A node with one slot, whose actors and threads the test can reach. */
async function createRig() {
  const root = mkdtempSync(join(tmpdir(), 'qmesh-test-'))
  const path = writeTinyGguf(join(root, 'tiny.gguf'), { isEndless: true })
  const threads: Worker[] = []
  const port = await freePort()
  const identity = createEphemeralIdentity()
  const engine = counted(
    createLlamaEngine({ workerUrl: inferenceWorkerUrl, onThread: (thread) => threads.push(thread) }),
  )
  const system = new NodeSystem({
    selfId: identity.id,
    config: configFromOptions({ dataDir: root, gpuLayers: 0, threads: 1, pauseWhenBusy: false }),
    swarmSettings: {
      seed: identity.deriveSeed('noise'),
      agent: 'test',
      roles: ['client'],
      bootstrap: [{ host: '127.0.0.1', port: 9 }],
      mdns: false,
      port,
    },
    models: [{ id: 'tiny', path, contextTokens: 512, slots: 1 }],
    engine,
    logger: pino({ level: 'silent' }),
    onKnownNodes: () => {},
  })
  onTestFinished(async () => {
    await system.stop()
    rmSync(root, { recursive: true })
  })
  const restarted: SubsystemName[] = []
  system.events.on('restarting', (part) => restarted.push(part))
  system.start()
  const { asker } = system.client
  let reader: AsyncIterator<unknown> | undefined
  const state = () => system.worker.models[0]?.state
  await expect.poll(state).toBe('ready')
  return {
    system,
    asker,
    engine,
    threads,
    restarted,
    state,
    /** An answer whose worker waits for its reader, in a slot, outside of native code. */
    hold: async () => {
      engine.tokens = 0
      const answer = asker.ask('held', { maxTokens: 400, temperature: 0, resume: 'exact' })
      reader = answer[Symbol.asyncIterator]()
      await reader.next()
      await expect.poll(() => engine.tokens).toBe(limits.unackedTokensMax)
      return answer
    },
    /** Reads a held answer to its end. */
    readOn: async () => {
      while (!(await reader?.next())?.done);
    },
    wait: async () => {
      const answer = asker.ask('waiting', { maxTokens: 4, temperature: 0 })
      await new Promise<void>((resolve) => {
        answer.on('queued', () => resolve())
      })
      return answer
    },
    /** Sends an event that cannot be read, which ends the part by an error. */
    crash: async (part: SubsystemName, type: string, field: string) => {
      const event = Object.defineProperty({ type }, field, {
        get: () => {
          throw new Error('told to fail')
        },
      })
      system.actor.system.get(part)?.send(event)
      await expect.poll(() => restarted).toContain(part)
    },
    expectAnswer: async () => {
      await expect.poll(state).toBe('ready')
      const ask = () => asker.ask('after', { maxTokens: 4, temperature: 0 }).result
      await expect
        .poll(() =>
          ask().then(
            ({ usage }) => usage.completionTokens,
            () => 0,
          ),
        )
        .toBe(4)
      expect(system.worker.intake.size).toBe(0)
      await expect.poll(() => system.worker.queue.slotsBusy).toBe(0)
    },
  }
}

test('an inference thread that dies is replaced, who waited is answered, and the stream goes on', async () => {
  const { asker, hold, readOn, wait, threads, state, system } = await createRig()
  const asked = { maxTokens: 400, temperature: 0, resume: 'exact' } as const
  const whole = await asker.ask('held', asked).text()
  const held = await hold()
  const waiting = await wait()
  await threads[0]?.terminate()
  // Whoever waited keeps the place and is answered by the reloaded model.
  expect((await waiting.result).usage.completionTokens).toBe(4)
  expect(state()).toBe('ready')
  await readOn()
  const { text, attempts, handovers } = await held.result
  expect(text).toBe(whole)
  expect(attempts.map(({ code }) => code)).toStrictEqual(['QM_ENGINE_CRASHED', undefined])
  expect(handovers).toMatchObject([{ code: 'QM_ENGINE_CRASHED' }])
  expect(threads).toHaveLength(2)
  expect(system.worker.intake.size).toBe(0)
})

test('a requester that crashes fails the open answers and frees their slot; the next one is answered', async () => {
  const { hold, crash, expectAnswer } = await createRig()
  const held = await hold()
  await crash('requester', 'request.open', 'request')
  await expect(held.result).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  await expectAnswer()
})

test('a scheduler that crashes refuses who waits, and knows the slots again', async () => {
  const { hold, wait, crash, expectAnswer } = await createRig()
  const held = await hold()
  const waiting = await wait()
  await crash('scheduler', 'request.cancel', 'jobId')
  await expect(waiting.result).rejects.toMatchObject({ code: 'QM_OVERLOADED' })
  held.cancel()
  await expectAnswer()
})

test('inference that crashes leaves no thread behind and loads its models again', async () => {
  const { hold, readOn, crash, expectAnswer, threads } = await createRig()
  const held = await hold()
  const ended = new Promise((resolve) => {
    threads[0]?.once('exit', resolve)
  })
  await crash('inference', 'slot.run', 'slotId')
  await ended
  await readOn()
  expect((await held.result).handovers).toHaveLength(1)
  await expectAnswer()
  expect(threads).toHaveLength(2)
})

test('a swarm that crashes opens the same port again', async () => {
  const { crash, system, expectAnswer } = await createRig()
  await system.opened()
  const before = system.address
  await crash('swarm', 'peer.greeted', 'connectionId')
  await expect.poll(() => system.address).toEqual(before)
  await expectAnswer()
})
