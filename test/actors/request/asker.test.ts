import { expect, test } from 'vitest'
import type { AnswerError } from '../../../actors/request/answer.ts'
import { Asker } from '../../../actors/request/asker.ts'
import { limits } from '../../../protocol/index.ts'
import { createRig, model, settled, textOf, toFinish, toPeerId } from './rig.ts'

test('an answer streams from the worker to the reader and ends with its result', async () => {
  const rig = createRig()
  const worker = rig.addWorker()
  const events: unknown[] = []
  const answer = rig.asker.ask('hello', { seed: 4 })
  answer
    .on('worker', (event) => events.push(event))
    .on('queued', (event) => events.push(event))
    .on('started', (event) => events.push(event))
  await settled()
  rig.pass(10)
  worker.position(1)
  worker.position(0)
  rig.pass(10)
  worker.tokens(0, 2)
  rig.pass(5)
  worker.tokens(2, 1, toFinish(3))

  const chunks: string[] = []
  for await (const { text } of answer) chunks.push(text)
  expect(chunks.join('')).toBe(textOf(3))
  expect(await answer.result).toStrictEqual({
    requestId: answer.requestId,
    text: textOf(3),
    finishReason: 'stop',
    usage: { promptTokens: 7, cachedTokens: 0, completionTokens: 3 },
    timings: { firstTokenMs: 20, totalMs: 25, queuedMs: 3 },
    workerId: worker.peerId,
    modelId: model.id,
    modelHash: model.hash,
    seed: 4,
    attempts: [{ workerId: worker.peerId, modelId: model.id, modelHash: model.hash, atMs: 0, tokens: 3 }],
    handovers: [],
  })
  expect(events).toStrictEqual([
    { workerId: worker.peerId, modelId: 'tiny', attempt: 0 },
    { position: 1, etaMs: 50, promptTokens: 7 },
    { position: 0, etaMs: 50, promptTokens: 7 },
    { firstTokenMs: 20 },
  ])
  expect(rig.standing).toStrictEqual([
    ['started', worker.peerId],
    ['firstToken', worker.peerId, { promptTokens: 7, ms: 20 }],
    ['finished', worker.peerId, { tokens: 3, ms: 5 }],
  ])
  expect(rig.asker.open).toBe(0)
  expect(rig.dispatcher.size).toBe(0)
  expect(Object.keys(rig.requester.getSnapshot().children)).toHaveLength(1)
})

test('a refusal before the first token moves on to another worker and is remembered', async () => {
  const rig = createRig()
  const [full, free] = [rig.addWorker(), rig.addWorker()]
  const answer = rig.asker.ask('hello')
  await settled()
  full.error('QM_QUEUE_FULL', 500)
  free.tokens(0, 1, toFinish(1))
  const { workerId, attempts } = await answer.result
  expect(workerId).toBe(free.peerId)
  expect(attempts.map(({ workerId, code }) => [workerId, code])).toStrictEqual([
    [toPeerId(1), 'QM_QUEUE_FULL'],
    [toPeerId(2), undefined],
  ])
  // With the time after which it wants to be asked again.
  expect(rig.standing).toContainEqual(['failed', full.peerId, 'QM_QUEUE_FULL', 500])
})

test('an answer that has grown too long to be handed over fails as the client’s own, with the text so far', async () => {
  const rig = createRig()
  const [first, second] = [rig.addWorker(), rig.addWorker()]
  // It fits a frame, but not with the tokens that it is to go on after.
  const prompt = 'é'.repeat((limits.frameBytesMax - 1_200) / 2)
  const answer = rig.asker.ask(prompt, { temperature: 0 })
  const text = answer.text()
  await settled()
  for (let from = 0; from < 500; from += 50) {
    first.tokens(from, 50)
    await settled()
  }
  first.disconnect()
  await expect(text).rejects.toMatchObject({
    code: 'QM_REQUEST_INVALID',
    message: expect.stringContaining('the 500 tokens of its answer so far take more than') as string,
    partial: textOf(500),
  })
  expect(second.heard).toStrictEqual([])
  // Nobody but the one that was lost is to blame.
  expect(rig.standing.filter(([what]) => what === 'failed')).toStrictEqual([
    ['failed', first.peerId, 'QM_WORKER_LOST'],
    ['failed', second.peerId, 'QM_REQUEST_INVALID'],
  ])
})

test('a worker that is draining is not left for another one that could not be sent the answer', async () => {
  const rig = createRig()
  const [first, second] = [rig.addWorker(), rig.addWorker()]
  const answer = rig.asker.ask('é'.repeat((limits.frameBytesMax - 1_200) / 2), { temperature: 0 })
  const text = answer.text()
  await settled()
  for (let from = 0; from < 500; from += 50) {
    first.tokens(from, 50)
    await settled()
  }
  rig.leaving.add(first.peerId)
  rig.pass(2_000)
  expect(first.wasCancelled).toBe(false)
  expect(second.heard).toStrictEqual([])
  first.tokens(500, 1, toFinish(501))
  expect(await text).toBe(textOf(501))
})

test('a reader who is slow across handovers loses nothing, and holds one window more for each at most', async () => {
  const rig = createRig()
  const workers = Array.from({ length: 4 }, () => rig.addWorker())
  const answer = rig.asker.ask('hello', { maxTokens: 2_000 })
  const chunks = answer[Symbol.asyncIterator]()
  await settled()
  let sent = 0
  let text = ''
  const readOne = async (): Promise<number> => {
    const { value } = await chunks.next()
    text += value?.text ?? ''
    return value?.tokens.length ?? 0
  }
  for (const [handovers, worker] of workers.entries()) {
    expect(worker.prompt.resume?.tokens ?? []).toHaveLength(sent)
    const before = sent
    // Each gives all it may while the reader takes next to nothing; one token more would be an offence.
    for (; sent < before + limits.unackedTokensMax; sent += 16) expect(worker.tokens(sent, 16)).toBe('ok')
    await readOne()
    expect(worker.acks).toStrictEqual([])
    const unread = sent - 16 * (handovers + 1)
    expect(unread).toBeLessThanOrEqual((handovers + 1) * limits.unackedTokensMax)
    if (handovers < 3) worker.disconnect()
  }
  // The last one may go on only when the reader has come up to its own part: what waits gets less, handover or not.
  const last = workers[3]
  const seam = 3 * limits.unackedTokensMax
  for (let read = 4 * 16; read < sent; read += await readOne()) {
    const owed = Math.max(0, Math.floor((read - seam) / limits.ackEveryTokens))
    expect(last?.acks).toHaveLength(owed)
  }
  last?.tokens(sent, 1, toFinish(sent + 1))
  await readOne()
  expect(text).toBe(textOf(sent + 1))
  expect(await answer.result).toMatchObject({ text: textOf(513), handovers: [{}, {}, {}] })
})

test('a worker lost in mid-answer is followed by another, and the reader sees one stream', async () => {
  const rig = createRig()
  const [first, second] = [rig.addWorker(), rig.addWorker()]
  const answer = rig.asker.ask('hello', { maxTokens: 9, seed: 4 })
  const handovers: unknown[] = []
  answer.on('handover', (handover) => handovers.push(handover))
  await settled()
  first.position(0)
  first.tokens(0, 3)
  rig.pass(40)
  first.disconnect()
  expect(second.prompt).toMatchObject({
    modelHash: model.hash,
    maxTokens: 9,
    sampling: first.prompt.sampling,
    resume: { tokens: [0, 1, 2], chars: textOf(3).length },
  })
  // What the first one may still say must not be taken for the second one's word.
  expect(second.requestId).not.toBe(first.requestId)
  second.position(0)
  rig.pass(60)
  second.tokens(3, 2, toFinish(5, { resumeMode: 'exact' }))
  const chunks: string[] = []
  for await (const { text } of answer) chunks.push(text)
  expect(chunks.join('')).toBe(textOf(5))
  const handover = {
    from: first.peerId,
    to: second.peerId,
    afterTokens: 3,
    gapMs: 100,
    code: 'QM_WORKER_LOST',
  }
  expect(await answer.result).toMatchObject({
    text: textOf(5),
    usage: { completionTokens: 5 },
    handovers: [handover],
    attempts: [
      { workerId: first.peerId, tokens: 3, code: 'QM_WORKER_LOST' },
      { workerId: second.peerId, tokens: 2 },
    ],
  })
  expect(handovers).toStrictEqual([handover])
  expect(rig.standing).toStrictEqual([
    ['started', first.peerId],
    ['firstToken', first.peerId, { promptTokens: 7, ms: 0 }],
    ['failed', first.peerId, 'QM_WORKER_LOST'],
    ['started', second.peerId],
    ['finished', second.peerId, { tokens: 2, ms: 0 }],
  ])
})

test('a worker that resumes at the wrong place, or begins again, does not reach the reader', async () => {
  for (const seq of [0, 2, 4]) {
    const rig = createRig()
    const [first, second] = [rig.addWorker(), rig.addWorker(), rig.addWorker()]
    const answer = rig.asker.ask('hello')
    await settled()
    first.tokens(0, 3)
    first.disconnect()
    expect(second.tokens(seq, 1)).toBe('violation')
    expect(second.wasCancelled).toBe(true)
    expect(answer.partial).toBe(textOf(3))
    rig.workers[2]?.tokens(3, 1, toFinish(4))
    expect(await answer.text()).toBe(textOf(4))
  }
})

test('acknowledgements go on from where the answer is, not from where the worker began', async () => {
  const rig = createRig()
  const [first, second] = [rig.addWorker(), rig.addWorker()]
  const answer = rig.asker.ask('hello')
  const text = answer.text()
  await settled()
  first.tokens(0, 100)
  first.disconnect()
  await settled()
  second.tokens(100, 64)
  await settled()
  expect(second.acks).toStrictEqual([164])
  second.tokens(164, 1, toFinish(165))
  expect(await text).toBe(textOf(165))
})

test('a worker that says it is draining is left for another one', async () => {
  const rig = createRig()
  const [first, second] = [rig.addWorker(), rig.addWorker()]
  const answer = rig.asker.ask('hello')
  await settled()
  first.tokens(0, 3)
  rig.leaving.add(first.peerId)
  rig.pass(100)
  expect(first.wasCancelled).toBe(true)
  second.tokens(3, 1, toFinish(4))
  expect(await answer.text()).toBe(textOf(4))
})

test('a worker lost in mid-answer with no other in sight fails the answer with the text so far', async () => {
  const rig = createRig()
  const worker = rig.addWorker()
  const answer = rig.asker.ask('hello')
  await settled()
  worker.tokens(0, 3)
  worker.disconnect()
  rig.pass(15_100)
  const read: string[] = []
  const failure = await (async () => {
    for await (const { text } of answer) read.push(text)
  })().catch((error: AnswerError) => error)
  expect(failure).toMatchObject({
    code: 'QM_WORKER_LOST',
    partial: textOf(3),
    name: 'QMeshError',
    message: expect.stringContaining('No other worker could go on') as string,
  })
  expect(read.join('')).toBe(textOf(3))
  expect(answer.partial).toBe(textOf(3))
})

test('no worker in time: the error says why', async () => {
  const rig = createRig()
  const answer = rig.asker.ask('hello', { model: 'big-model', discoverMs: 1_000 })
  const waited: unknown[] = []
  answer.on('waiting', ({ requestId }) => waited.push(requestId))
  await settled()
  rig.pass(1_100)
  await expect(answer.result).rejects.toMatchObject({
    code: 'QM_NO_WORKERS',
    message: 'nobody has big-model',
    attempts: [],
  })
  expect(waited).toStrictEqual([answer.requestId])
})

test('a worker that appears while a request waits is asked', async () => {
  const rig = createRig()
  const answer = rig.asker.ask('hello')
  await settled()
  rig.addWorker().tokens(0, 1, toFinish(1))
  expect(await answer.text()).toBe('t0 ')
})

test('a request asked while nobody runs the client side fails at once', async () => {
  const rig = createRig()
  rig.requester.stop()
  const dead = new Asker({ ...rig.ports, requester: () => undefined })
  await expect(dead.ask('hello').result).rejects.toMatchObject({ code: 'QM_NODE_STOPPED' })
})
