import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { EngineHost, GenerateRequest, ModelSpec } from '../../../actors/inference/engine.port.ts'
import { createRequestId, decodeEmbeddings, defaultSampling } from '../../../protocol/index.ts'
import { createInferenceRig, toRequest } from '../../support/inference-rig.ts'
import { createTinyBert, writeTinyBert, type TinyBertOptions } from '../../support/tiny-bert.ts'

const rig = createInferenceRig()
afterAll(() => rig.close())

let files = 0

const bert = (options: TinyBertOptions = {}, spec: Partial<ModelSpec> = {}): ModelSpec => ({
  id: 'tiny-bert',
  path: writeTinyBert(join(rig.folder, `bert-${files++}.gguf`), options),
  ...spec,
})

let jobs = 0

const toEmbed = (embed: readonly string[]): GenerateRequest => ({
  jobId: `embed-${jobs++}`,
  requestId: createRequestId(),
  embed,
  sampling: defaultSampling,
  maxTokens: 1,
  stop: [],
})

async function embed(host: EngineHost, texts: readonly string[]) {
  const request = toEmbed(texts)
  const { promptTokens } = await host.prepare(request)
  const result = await host.generate(request.jobId, () => {}).finished
  const vectors = decodeEmbeddings(result.embeddings ?? '', texts.length, host.model.embeddingSize ?? 0)
  if (typeof vectors === 'string') throw new Error(vectors)
  return { promptTokens, result, vectors }
}

describe('a model for embeddings', () => {
  it('makes vectors of length 1, equal for equal texts, in the order of the texts', async () => {
    const host = await rig.load(bert())
    expect(host.model).toMatchObject({ embeddingSize: 32, slots: 1, contextTokens: 128 })
    const texts = ['the dog', 'the cat', 'the dog', ' ', '😀']
    const { vectors, result, promptTokens } = await embed(host, texts)
    const [dog, cat, again] = vectors
    expect(again).toEqual(dog)
    expect(cat).not.toEqual(dog)
    expect(result).toMatchObject({ promptTokens, completionTokens: 0, cachedTokens: 0, reason: 'stop' })
    // Alone it is what it is in company, whatever was read before.
    expect((await embed(host, ['the cat'])).vectors).toEqual([cat])
    // Nothing but what the model puts around each: [CLS] and [SEP].
    expect((await embed(host, [' '])).promptTokens).toBe(2)
  })

  it('takes a text that fills its context, and refuses one token more by name', async () => {
    const host = await rig.load(bert({ contextTokens: 64 }))
    const fits = 'a '.repeat(62)
    expect((await embed(host, [fits])).promptTokens).toBe(64)
    const refused = host.prepare(toEmbed(['the dog', 'a '.repeat(63)]))
    await expect(refused).rejects.toMatchObject({
      code: 'QM_CONTEXT_EXCEEDED',
      message: expect.stringMatching(/"a a a .*" has 65 tokens, "tiny-bert" reads at most 64/),
    })
    await expect(host.prepare(toEmbed(['x'.repeat(300_000)]))).rejects.toMatchObject({
      code: 'QM_CONTEXT_EXCEEDED',
    })
    // The engine would end the whole process over a token for which the model has no place.
    expect((await embed(host, [fits])).promptTokens).toBe(64)
  })

  it('has no more context than it was trained for, whatever it is asked for', async () => {
    const host = await rig.load(bert({ contextTokens: 64 }, { contextTokens: 4_096, slots: 8 }))
    expect(host.model).toMatchObject({ contextTokens: 64, slots: 1 })
    const short = await rig.load(bert({ contextTokens: 64 }, { contextTokens: 32 }))
    expect(short.model.contextTokens).toBe(32)
    await expect(short.prepare(toEmbed(['a '.repeat(31)]))).rejects.toMatchObject({
      code: 'QM_CONTEXT_EXCEEDED',
    })
  })

  it('is cancelled between two texts', async () => {
    const host = await rig.load(bert({ contextTokens: 512, layers: 12, size: 256, feedForward: 1_024 }))
    const text = 'a '.repeat(510)
    const texts = Array.from({ length: 32 }, () => text)
    // Several times: the machine may be busy with something else at any one of them.
    let leastTexts = Infinity
    for (let run = 0; run < 5 && leastTexts >= 8; run++) {
      const request = toEmbed(texts)
      await host.prepare(request)
      const generation = host.generate(request.jobId, () => {})
      const startedAtMs = performance.now()
      generation.cancel()
      await expect(generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
      const cancelledMs = performance.now() - startedAtMs
      const { result } = await embed(host, [text])
      leastTexts = Math.min(leastTexts, cancelledMs / Math.max(50, result.totalMs))
    }
    // One text may have been on its way, not thirty-two.
    expect(leastTexts).toBeLessThan(8)
  })

  it('does not answer, and one that answers makes no embeddings', async () => {
    const embedder = await rig.load(bert())
    await expect(embedder.prepare(toRequest('chat', {}))).rejects.toMatchObject({ code: 'QM_MODEL_KIND' })
    const chat = await rig.load(rig.model())
    expect(chat.model.embeddingSize).toBeUndefined()
    await expect(chat.prepare(toEmbed(['x']))).rejects.toMatchObject({ code: 'QM_MODEL_KIND' })
  })

  it('that ranks, or makes vectors that are too long, is refused', async () => {
    await expect(rig.load(bert({ pooling: 4 }))).rejects.toMatchObject({
      code: 'QM_MODEL_UNSUPPORTED',
      message: expect.stringContaining('ranks'),
    })
    // In the header only: the file would take hundreds of megabytes.
    const bytes = createTinyBert()
    const key = 'bert.embedding_length'
    bytes.writeUInt32LE(4_100, bytes.indexOf(key) + key.length + 4)
    const path = join(rig.folder, 'wide.gguf')
    writeFileSync(path, bytes)
    await expect(rig.load({ id: 'wide', path })).rejects.toMatchObject({
      code: 'QM_MODEL_UNSUPPORTED',
      message: expect.stringContaining('vectors of 4100 numbers, at most 4096'),
    })
  })

  it('without a word on pooling is known by its architecture', async () => {
    const host = await rig.load(bert({ pooling: null }))
    const { vectors } = await embed(host, ['the dog', 'the cat'])
    expect(vectors[0]).not.toEqual(vectors[1])
  })

  it('whose thread dies in the middle says so', async () => {
    const host = await rig.load(bert({ contextTokens: 512, layers: 12, size: 256, feedForward: 1_024 }))
    const request = toEmbed(Array.from({ length: 32 }, () => 'a '.repeat(510)))
    await host.prepare(request)
    const generation = host.generate(request.jobId, () => {})
    await host.close()
    await expect(generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await expect(host.prepare(toEmbed(['x']))).rejects.toMatchObject({ code: 'QM_CANCELLED' })
  })
})
