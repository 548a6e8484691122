import { describe, expect, it } from 'vitest'
import { Embedder, type Embeddings } from '../../../actors/request/embedder.ts'
import { checkEmbedOptions, toEmbedQuestion, toParts } from '../../../actors/request/embed-options.ts'
import {
  createRequestId,
  encodeEmbeddings,
  limits,
  QMeshError,
  toUnitVector,
} from '../../../protocol/index.ts'
import { createRig, model, settled, toFinish, type ScriptedWorker } from './rig.ts'

const size = 4
const bert = { ...model, id: 'bert', embeddingSize: size }

/** The vector of a text: equal for equal ones. */
const toVector = (text: string): Float32Array =>
  toUnitVector(Array.from({ length: size }, (_, at) => 1 + (text.codePointAt(at % text.length) ?? 0))) ??
  new Float32Array(size)

const toBlock = (texts: readonly string[]): string => encodeEmbeddings(texts.map(toVector))

/** Answers the prompt that came last. */
function answer(worker: ScriptedWorker): void {
  const { embed = [] } = worker.prompt
  worker.position(0)
  worker.tokens(0, 0, toFinish(0, { embeddings: toBlock(embed) }))
}

function createEmbedRig(models = [bert]) {
  const queries: unknown[] = []
  const rig = createRig({
    choose: (query) => {
      queries.push(query)
      const worker = rig.workers.find(
        ({ peerId }) => !query.exclude.has(peerId) && rig.dispatcher.isConnected(peerId),
      )
      const held = models[rig.workers.indexOf(worker ?? rig.addWorker())] ?? bert
      return worker ? { workerId: worker.peerId, model: held } : null
    },
  })
  const embedder = new Embedder(
    (question) => rig.asker.begin(question),
    () => rig.clock.now(),
  )
  return { ...rig, embedder, queries }
}

/** Has every prompt that comes answered, however deep in a call of the client. */
const answering = (worker: ScriptedWorker): ScriptedWorker => {
  worker.onMessage = ({ type }) => {
    if (type === 'prompt') queueMicrotask(() => answer(worker))
  }
  return worker
}

describe('embed', () => {
  it('gives the vectors in the order of the texts, and what they took', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const embedded = rig.embedder.embed(['a', 'b'])
    await settled()
    expect(worker.prompt).toMatchObject({ embed: ['a', 'b'], modelId: 'bert', maxTokens: 1 })
    expect(worker.prompt).not.toHaveProperty('messages')
    rig.pass(10)
    answer(worker)
    const { vectors, ...rest } = await embedded
    expect(vectors).toEqual([toVector('a'), toVector('b')])
    expect(rest).toEqual({
      size,
      modelId: 'bert',
      modelHash: bert.hash,
      usage: { promptTokens: 7 },
      timings: { totalMs: 10 },
      requests: [
        {
          requestId: worker.requestId,
          texts: 2,
          workerId: worker.peerId,
          attempts: [expect.objectContaining({ workerId: worker.peerId, tokens: 0 })],
        },
      ],
    } satisfies Omit<Embeddings, 'vectors'>)
    expect(rig.standing).toEqual([
      ['started', worker.peerId],
      ['finished', worker.peerId, expect.objectContaining({ tokens: 0 })],
    ])
    expect(rig.asker.open).toBe(0)
    expect(rig.dispatcher.size).toBe(0)
  })

  it('asks for any model for embeddings first, and for the weights of the first part then, few parts at once', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const texts = Array.from({ length: 7 * limits.embedTextsMax }, (_, index) => `text ${index}`)
    const embedded = rig.embedder.embed(texts)
    await settled()
    // Nothing else before it is known which weights answer.
    expect(rig.queries).toMatchObject([{ embedding: 'any', modelHash: undefined, affinityKey: undefined }])
    const prompts = () => worker.heard.flatMap((message) => (message.type === 'prompt' ? [message] : []))
    expect(prompts()).toHaveLength(1)
    answer(worker)
    await settled()
    expect(prompts()).toHaveLength(5)
    for (const query of rig.queries.slice(1))
      expect(query).toMatchObject({ embedding: size, modelHash: bert.hash })
    // In any order.
    let done = 1
    while (done < 7) {
      const open = prompts().slice(done).toReversed()
      for (const { requestId, embed = [] } of open) {
        worker.say({
          type: 'response',
          requestId,
          seq: 0,
          tokens: [],
          text: '',
          finish: toFinish(0, { embeddings: toBlock(embed) }),
        })
        done++
      }
      await settled()
    }
    const { vectors, usage, requests } = await embedded
    expect(vectors).toEqual(texts.map(toVector))
    expect(usage.promptTokens).toBe(7 * 7)
    expect(requests.map(({ texts: count }) => count)).toEqual(Array.from({ length: 7 }, () => 32))
  })

  it('a worker lost in the middle: the same texts go elsewhere', async () => {
    const rig = createEmbedRig()
    const [first, second] = [rig.addWorker(), rig.addWorker()]
    const embedded = rig.embedder.embed('a')
    await settled()
    first.position(0)
    first.disconnect()
    await settled()
    expect(second.prompt.embed).toEqual(['a'])
    answer(second)
    const { requests } = await embedded
    expect(requests[0]?.attempts).toMatchObject([{ code: 'QM_WORKER_LOST' }, { workerId: second.peerId }])
  })

  it('one part that fails cancels the others, wherever they are', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const embedded = rig.embedder.embed(
      Array.from({ length: 4 * limits.embedTextsMax }, (_, index) => String(index)),
      { attemptsMax: 1 },
    )
    await settled()
    answer(worker)
    await settled()
    worker.error('QM_CONTEXT_EXCEEDED')
    await expect(embedded).rejects.toMatchObject({ code: 'QM_CONTEXT_EXCEEDED' })
    await settled()
    expect(worker.heard.filter(({ type }) => type === 'cancel')).toHaveLength(2)
    expect(rig.asker.open).toBe(0)
  })

  it('a signal cancels it, and says so', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const { signal, abort } = withAbort()
    const embedded = rig.embedder.embed('a', { signal })
    await settled()
    abort()
    await expect(embedded).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    expect(worker.wasCancelled).toBe(true)
  })

  it('a part that comes too early for its worker comes again when the worker says', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const embedded = rig.embedder.embed('a', { attemptsMax: 1 })
    await settled()
    answering(worker)
    worker.error('QM_RATE_LIMITED', 20)
    const { requests } = await embedded
    expect(requests).toHaveLength(1)
    expect(worker.heard.filter(({ type }) => type === 'prompt')).toHaveLength(2)
  })

  it('a worker that asks to come back much later is an error', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const embedded = rig.embedder.embed('a', { attemptsMax: 1 })
    await settled()
    worker.error('QM_RATE_LIMITED', 60_000)
    await expect(embedded).rejects.toMatchObject({ code: 'QM_RATE_LIMITED', retryAfterMs: 60_000 })
  })

  it('a worker that asks to come back when it is too late for the list is an error at once', async () => {
    const rig = createEmbedRig()
    const worker = rig.addWorker()
    const embedded = rig.embedder.embed('a', { attemptsMax: 1, deadlineMs: 1_000 })
    await settled()
    rig.pass(600)
    worker.error('QM_RATE_LIMITED', 500)
    await expect(embedded).rejects.toMatchObject({ code: 'QM_RATE_LIMITED', retryAfterMs: 500 })
    expect(worker.heard.filter(({ type }) => type === 'prompt')).toHaveLength(1)
  })

  it.each<[string, unknown, object, RegExp]>([
    ['no texts', [], {}, /empty list/],
    ['an empty text', ['a', ''], {}, /text 2 of 2: is empty/],
    ['something else than a text', ['a', 5], {}, /text 2 of 2: is no string/],
    ['a text that is too long', ['x'.repeat(limits.promptCharsMax + 1)], {}, /text 1 of 1: has 524289/],
    ['a text with too many bytes', ['\u0001'.repeat(300_000)], {}, /text 1 of 1: .* 1800003 bytes/],
    ['an option nobody knows', ['a'], { temperature: 0 }, /"temperature" is not known/],
    ['a size that no vector has', ['a'], { size: 0 }, /"size"/],
  ])('%s is refused before anything is asked', (_what, texts, options, message) => {
    const rig = createEmbedRig()
    rig.addWorker()
    const embed = () => rig.embedder.embed(texts as string[], options)
    expect(embed).toThrow(QMeshError)
    expect(embed).toThrow(message)
    expect(rig.queries).toEqual([])
  })
})

describe('the parts of a list', () => {
  it('are as few as fit, in order', () => {
    const { embedTextsMax, promptCharsMax, frameBytesMax } = limits
    expect(toParts(['a'])).toEqual([['a']])
    const short = Array.from({ length: 2 * embedTextsMax + 1 }, (_, index) => String(index))
    expect(toParts(short).map(({ length }) => length)).toEqual([embedTextsMax, embedTextsMax, 1])
    expect(toParts(short).flat()).toEqual(short)
    // By characters, and by bytes as they are sent.
    const half = 'x'.repeat(promptCharsMax / 2)
    expect(toParts([half, half, 'x']).map(({ length }) => length)).toEqual([2, 1])
    const wide = '\u0001'.repeat(Math.floor(frameBytesMax / 6 / 2))
    expect(toParts([wide, wide]).map(({ length }) => length)).toEqual([1, 1])
    for (const part of toParts([half, half, wide, wide])) {
      const question = toEmbedQuestion(createRequestId(), part, checkEmbedOptions({}))
      const prompt = question.toPrompt({ ...bert, id: 'x'.repeat(limits.modelIdCharsMax) }, 1_000)
      expect(Buffer.byteLength(JSON.stringify(prompt))).toBeLessThan(frameBytesMax - 512)
    }
  })
})

function withAbort(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}
