import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { AnswerChunk } from '../../../actors/request/answer-log.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { findRunningNode, requireRunningNode } from '../../../runtime/control/index.ts'
import type { NodeStatus } from '../../../runtime/node-status.ts'
import { createControlRig, sampleResult, sampleStatus } from '../support/control-rig.ts'
import { tempDir } from '../support/temp-dir.ts'

const question = [{ role: 'user' as const, content: 'hi' }]

describe('a running node', () => {
  it('is found in its data directory, and says its status', async () => {
    const { dataDir } = await createControlRig()
    const node = await requireRunningNode(dataDir)
    expect(await node.status()).toEqual(sampleStatus)
    expect(await node.workers()).toEqual([])
  })

  it('is understood where it is of an earlier version, and was not stopped for the new one', async () => {
    const { parts: _, ...earlier } = sampleStatus
    const { client } = await createControlRig({ port: { drain: () => earlier as NodeStatus } })
    expect(await client.drain()).toEqual({ ...earlier, parts: [] })
  })

  it('lists workers, those it never asked included', async () => {
    const worker = {
      workerId: sampleStatus.id,
      isLocal: true,
      models: [{ id: 'tiny', hash: 'ef'.repeat(32), contextTokens: 512, slots: 2 }],
      healthScore: 80,
      state: 'idle' as const,
      accepting: true,
      queueLength: 0,
      queueCapacity: 4,
      slotsBusy: 0,
      slots: 2,
      barred: undefined,
      inFlight: 0,
      answers: 0,
      failuresInRow: 0,
      firstTokenMs: undefined,
      tokensPerSecond: undefined,
    }
    const { client } = await createControlRig({ port: { workers: () => [worker] } })
    expect(await client.workers()).toStrictEqual([worker])
  })

  it('is not found where none runs', async () => {
    const dataDir = await tempDir()
    expect(await findRunningNode(dataDir)).toBeUndefined()
    await expect(requireRunningNode(dataDir)).rejects.toMatchObject({ code: 'QM_NODE_NOT_RUNNING' })
    expect(await findRunningNode(join(dataDir, 'missing'))).toBeUndefined()
  })

  it('is not found behind the socket of one that died, and the next one takes the name over', async () => {
    const { dataDir, path, close } = await createControlRig()
    await close()
    // A socket file without a listener is what `kill -9` leaves: closing politely removes it, so make one.
    const dead = createServer().listen(path)
    await once(dead, 'listening')
    const handle = dead as unknown as { _handle: { close(): void } }
    const { rename } = await import('node:fs/promises')
    await rename(path, `${path}.kept`)
    handle._handle.close()
    await rename(`${path}.kept`, path)
    expect(await findRunningNode(dataDir)).toBeUndefined()
    const next = await createControlRig({ dataDir })
    expect(await next.client.status()).toEqual(sampleStatus)
  })

  it('leaves a file that is no socket alone and refuses to start', async () => {
    const dataDir = await tempDir()
    await writeFile(join(dataDir, 'control.sock'), 'mine')
    await expect(createControlRig({ dataDir })).rejects.toMatchObject({ code: 'QM_DATA_DIR_UNUSABLE' })
  })

  it.runIf(process.platform !== 'win32')('listens for its owner only, and removes its socket', async () => {
    const { path, close } = await createControlRig()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await close()
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.runIf(process.platform !== 'win32')(
    'is reached when its directory is too long for a socket',
    async () => {
      const dataDir = join(await tempDir(), 'x'.repeat(120))
      const { path } = await createControlRig({ dataDir })
      expect(Buffer.byteLength(path)).toBeLessThanOrEqual(100)
      expect((await stat(join(path, '..'))).mode & 0o777).toBe(0o700)
      expect(await (await requireRunningNode(dataDir)).status()).toEqual(sampleStatus)
    },
  )
})

describe('asking a running node', () => {
  it('streams chunks, events and the result', async () => {
    const { client, asked } = await createControlRig()
    const options = { temperature: 0, maxTokens: 5, stop: ['END'], localOnly: true, resume: 'exact' } as const
    const answer = client.ask(question, { ...options, stop: [...options.stop] })
    const queued: unknown[] = []
    answer.on('queued', (event) => queued.push(event))
    const texts: string[] = []
    for await (const { text } of answer) texts.push(text)
    expect(texts).toEqual(['hello ', 'world'])
    expect(await answer.result).toEqual(sampleResult)
    expect(queued).toEqual([{ position: 3, etaMs: 250, promptTokens: 3 }])
    expect(asked[0]?.input).toEqual(question)
    expect(asked[0]?.options).toMatchObject(options)
  })

  it('gives the result to whoever only waits for it', async () => {
    const { client } = await createControlRig()
    expect(await client.ask(question, {}).result).toEqual(sampleResult)
  })

  it.each(['a signal', 'cancel()', 'leaving the loop'])('is cancelled by %s', async (how) => {
    const { client, asked } = await createControlRig({ chunks: endless })
    const abort = new AbortController()
    const answer = client.ask(question, { signal: abort.signal })
    const chunks = answer[Symbol.asyncIterator]()
    expect(await chunks.next()).toMatchObject({ done: false })
    if (how === 'a signal') abort.abort()
    else if (how === 'cancel()') answer.cancel()
    else await chunks.return?.()
    await expect(answer.result).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await vi.waitFor(() => expect(asked[0]?.isLeft).toBe(true), 20_000)
    expect(asked[0]?.options.signal?.aborted).toBe(true)
  })

  it('does not run ahead of a slow reader', async () => {
    const { client, asked } = await createControlRig({ chunks: () => flood(100_000) })
    const chunks = client.ask(question, {})[Symbol.asyncIterator]()
    await chunks.next()
    const pulled = async (): Promise<number> => {
      const before = asked[0]?.pulled ?? 0
      await vi.waitUntil(async () => {
        const now = asked[0]?.pulled ?? 0
        await new Promise((resolve) => setImmediate(resolve))
        return now === (asked[0]?.pulled ?? 0) && now >= before
      })
      return asked[0]?.pulled ?? 0
    }
    // Buffers of the socket hold some; without back-pressure all hundred thousand would be taken.
    expect(await pulled()).toBeLessThan(20_000)
    await chunks.return?.()
  })

  it('passes on how an answer failed', async () => {
    const failing = async function* (): AsyncGenerator<AnswerChunk> {
      yield { text: 'half', tokens: [1] }
      throw new QMeshError('QM_WORKER_LOST', 'it went away', { retryAfterMs: 50 })
    }
    const { client, defects } = await createControlRig({ chunks: failing })
    const answer = client.ask(question, {})
    await expect(answer.result).rejects.toMatchObject({
      code: 'QM_WORKER_LOST',
      message: 'it went away',
      retryAfterMs: 50,
    })
    expect(defects).toEqual([])
  })

  it('fails with a code when the node stops in the middle', async () => {
    const { client, close } = await createControlRig({ chunks: endless })
    const answer = client.ask(question, {})
    const chunks = answer[Symbol.asyncIterator]()
    await chunks.next()
    await close()
    const rest = async (): Promise<void> => {
      while (!(await chunks.next()).done);
    }
    await expect(rest()).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
  })

  it('refuses options out of bounds and prompts that fit no frame', async () => {
    const { client, asked } = await createControlRig()
    await expect(client.ask(question, { temperature: 9 }).result).rejects.toMatchObject({
      code: 'QM_REQUEST_INVALID',
    })
    const huge = [{ role: 'user' as const, content: 'x'.repeat(2 * 1024 * 1024) }]
    await expect(client.ask(huge, {}).result).rejects.toMatchObject({ code: 'QM_REQUEST_INVALID' })
    expect(asked).toEqual([])
  })

  it('tells the user of a defect no more than that there is one, and the node all of it', async () => {
    const broken = () => {
      throw new TypeError('x is not a function')
    }
    const { client, defects } = await createControlRig({ port: { status: broken } })
    await expect(client.status()).rejects.toMatchObject({ code: 'QM_INTERNAL' })
    expect(defects).toHaveLength(1)
  })
})

async function* endless(signal: AbortSignal | undefined): AsyncGenerator<AnswerChunk> {
  for (let token = 0; ; token++) {
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
    yield { text: 'x', tokens: [token] }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function* flood(count: number): AsyncGenerator<AnswerChunk> {
  for (let token = 0; token < count; token++) yield { text: 'x'.repeat(100), tokens: [token] }
}
