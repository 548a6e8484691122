import { describe, expect, it } from 'vitest'
import type { Engine, EngineHost, TokenChunk } from '../../../actors/inference/engine.port.ts'
import { QMeshError } from '../../../protocol/errors.ts'
import { pacedEngine } from '../../../runtime/demo/paced-engine.ts'

const result = {
  reason: 'stop',
  promptTokens: 3,
  cachedTokens: 0,
  completionTokens: 5,
  firstTokenMs: 1,
  totalMs: 1,
} as const
const spec = { id: 'nano', path: '/nano.gguf' }
const options = { gpuLayers: 0, threads: 1, mlock: false }
const tokenMs = 10

/** An engine that has all of its answer at once. */
const instant = (end: Promise<typeof result> = Promise.resolve(result)): Engine => ({
  load: () =>
    Promise.resolve({
      generate: (_jobId, onChunk) => {
        onChunk({ tokens: [1], text: 'a' })
        onChunk({ tokens: [2, 3, 4, 5], text: 'bcde' })
        onChunk({ tokens: [], text: 'f' })
        return { finished: end, cancel: () => undefined, acknowledge: () => undefined }
      },
    } satisfies Pick<EngineHost, 'generate'> as unknown as EngineHost),
})

describe('the paced engine', () => {
  it('hands out one token at a time, the text never ahead of its tokens', async () => {
    const host = await pacedEngine(instant(), tokenMs).load(spec, options)
    const chunks: TokenChunk[] = []
    const finished = await host.generate('job', (chunk) => chunks.push(chunk)).finished
    expect(chunks).toEqual([
      { tokens: [1], text: 'a' },
      { tokens: [2], text: '' },
      { tokens: [3], text: '' },
      { tokens: [4], text: '' },
      { tokens: [5], text: 'bcde' },
      { tokens: [], text: 'f' },
    ])
    // What the scheduler learns from it is what it took. Timers may be a little early.
    expect(finished).toMatchObject({ reason: 'stop', completionTokens: 5 })
    expect(finished.totalMs).toBeGreaterThanOrEqual(5 * tokenMs - 5)
    expect(finished.firstTokenMs).toBeLessThan(finished.totalMs)
  })

  it('says nothing more after a cancel', async () => {
    const host = await pacedEngine(instant(), tokenMs).load(spec, options)
    const chunks: TokenChunk[] = []
    const generation = host.generate('job', (chunk) => chunks.push(chunk))
    generation.cancel()
    await expect(generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    expect(chunks).toEqual([])
  })

  it('fails at once when the engine does', async () => {
    const host = await pacedEngine(instant(Promise.reject(new QMeshError('QM_ENGINE_CRASHED'))), 10_000).load(
      spec,
      options,
    )
    const generation = host.generate('job', () => undefined)
    await expect(generation.finished).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
  })
})
