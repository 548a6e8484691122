import { describe, expect, test } from 'vitest'
import {
  encodeEmbeddings,
  limits,
  type Prompt,
  QMeshError,
  type WorkerMessage,
} from '../../../protocol/index.ts'
import { Dispatcher, type AttemptListener, type OpenPrompt } from '../../../actors/request/dispatcher.ts'
import { ScriptedWorker, textOf, toFinish, toPeerId } from './rig.ts'

const toPrompt = (requestId = 'f'.repeat(32), maxTokens = 500): Prompt => ({
  type: 'prompt',
  requestId,
  modelId: 'tiny',
  prompt: 'hi',
  sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, repeatPenalty: 1, repeatLastTokens: 0 },
  maxTokens,
  stop: [],
})

class Listener implements AttemptListener {
  readonly said: unknown[] = []
  text = ''
  queued = ({ position }: { position: number }): void => void this.said.push(['queued', position])
  tokens = (_tokens: readonly number[], text: string): void => {
    this.text += text
  }
  finished = ({ completionTokens }: { completionTokens: number }): void =>
    void this.said.push(['finished', completionTokens])
  failed = ({ code }: { code: string }): void => void this.said.push(['failed', code])
}

function start(maxTokens = 500): {
  worker: ScriptedWorker
  listener: Listener
  open: OpenPrompt
  dispatcher: Dispatcher
} {
  const dispatcher = new Dispatcher(() => 0)
  const worker = new ScriptedWorker(dispatcher, toPeerId(1)).connect()
  const listener = new Listener()
  const open = dispatcher.open(worker.peerId, toPrompt(undefined, maxTokens), listener)
  if (!open) throw new Error('not connected')
  return { worker, listener, open, dispatcher }
}

/** Each says something that no honest worker says, after three good tokens; the reader must keep exactly those. */
const offences: Record<string, (worker: ScriptedWorker) => unknown> = {
  'a token twice': (worker) => worker.tokens(2, 1),
  'a gap': (worker) => worker.tokens(4, 1),
  'everything again': (worker) => worker.tokens(0, 3),
  'more tokens than asked for': (worker) => worker.tokens(3, 8),
  'an empty frame': (worker) => worker.tokens(3, 0),
  'a finish that counts more than came': (worker) => worker.tokens(3, 1, toFinish(5)),
  'a finish that counts fewer than came': (worker) => worker.tokens(3, 1, toFinish(3)),
  'a finish with another prompt length': (worker) => worker.tokens(3, 1, toFinish(4, { promptTokens: 8 })),
  'a finish that cached more than the prompt': (worker) =>
    worker.tokens(3, 1, toFinish(4, { cachedTokens: 8 })),
  'a text too long for its tokens': (worker) =>
    worker.say({
      type: 'response',
      requestId: worker.requestId,
      seq: 3,
      tokens: [3],
      text: 'x'.repeat(9_000),
    }),
}

describe.each(Object.entries(offences))('%s', (_name, commit) => {
  test('is a violation, fails the attempt, cancels it, and reaches no reader', () => {
    const { worker, listener, dispatcher } = start(10)
    worker.position(0)
    worker.tokens(0, 3)
    expect(commit(worker)).toBe('violation')
    expect(listener.said).toStrictEqual([
      ['queued', 0],
      ['failed', 'QM_WORKER_MISBEHAVED'],
    ])
    expect(listener.text).toBe(textOf(3))
    expect(worker.wasCancelled).toBe(true)
    expect(dispatcher.size).toBe(0)
    // What was already on its way is not counted again, and changes nothing.
    expect(worker.tokens(3, 1)).toBe('late')
    expect(listener.text).toBe(textOf(3))
  })
})

test('a worker may be exactly the window ahead, not one token more', () => {
  const { worker, listener, open } = start()
  expect(worker.tokens(0, limits.unackedTokensMax)).toBe('ok')
  open.acknowledge(limits.ackEveryTokens)
  expect(worker.tokens(limits.unackedTokensMax, limits.ackEveryTokens)).toBe('ok')
  expect(worker.tokens(limits.unackedTokensMax + limits.ackEveryTokens, 1)).toBe('violation')
  expect(listener.said).toStrictEqual([['failed', 'QM_WORKER_MISBEHAVED']])
})

test('anything after the end of the answer is a violation and is not heard', () => {
  const { worker, listener } = start()
  worker.tokens(0, 1, toFinish(1))
  expect(worker.tokens(1, 1)).toBe('violation')
  expect(worker.position(3)).toBe('violation')
  expect(worker.error('QM_INFERENCE_FAILED')).toBe('violation')
  expect(listener.said).toStrictEqual([['finished', 1]])
})

test('after our cancel, what was on its way is late, and endless lateness is a violation', () => {
  const { worker, listener, open } = start()
  open.cancel()
  open.cancel()
  expect(worker.heard.filter(({ type }) => type === 'cancel')).toHaveLength(1)
  const heard = Array.from({ length: 1_000 }, (_, index) => worker.tokens(index, 1))
  expect(heard[0]).toBe('late')
  expect(heard.at(-1)).toBe('violation')
  expect(listener.said).toStrictEqual([])
})

test('a request that was never made, or was made to another worker, is a violation', () => {
  const { worker, listener, dispatcher } = start()
  const stranger = new ScriptedWorker(dispatcher, toPeerId(2)).connect()
  const frame = {
    type: 'response' as const,
    requestId: worker.requestId,
    seq: 0,
    tokens: [0],
    text: 'evil',
  } satisfies WorkerMessage
  expect(stranger.say(frame)).toBe('violation')
  expect(worker.say({ ...frame, requestId: '0'.repeat(32) })).toBe('violation')
  expect(listener.text).toBe('')
  expect(listener.said).toStrictEqual([])
})

test('a code that is not a worker’s to say is a misbehaviour', () => {
  const { worker, listener } = start()
  expect(worker.error('QM_CANCELLED')).toBe('violation')
  expect(listener.said).toStrictEqual([['failed', 'QM_WORKER_MISBEHAVED']])
})

test('a farewell of the whole connection fails nothing: its end does', () => {
  const { worker, listener } = start()
  expect(worker.say({ type: 'inference_error', code: 'QM_DRAINING', message: '' })).toBe('ok')
  expect(listener.said).toStrictEqual([])
  worker.disconnect()
  expect(listener.said).toStrictEqual([['failed', 'QM_WORKER_LOST']])
})

test('a prompt that fits no frame fails as the client’s own, and nothing of it stays open', () => {
  const dispatcher = new Dispatcher(() => 0)
  const worker = new ScriptedWorker(dispatcher, toPeerId(1)).connect()
  const listener = new Listener()
  const huge = { ...toPrompt(), prompt: '漢'.repeat(limits.promptCharsMax) }
  const open = dispatcher.open(worker.peerId, huge, listener)
  expect(listener.said).toStrictEqual([['failed', 'QM_REQUEST_INVALID']])
  open?.cancel()
  open?.acknowledge(0)
  expect(worker.heard).toStrictEqual([])
  expect(dispatcher.size).toBe(0)
})

test('a flood of positions is a violation', () => {
  const { worker, listener } = start()
  const heard = Array.from({ length: 20 }, () => worker.position(4))
  expect(heard).toContain('violation')
  expect(listener.said.at(-1)).toStrictEqual(['failed', 'QM_WORKER_MISBEHAVED'])
})

test('a position that the first token overtook is late and harmless', () => {
  const { worker, listener } = start()
  worker.tokens(0, 1)
  expect(worker.position(0)).toBe('late')
  expect(worker.tokens(1, 1, toFinish(2))).toBe('ok')
  expect(listener.said).toStrictEqual([['finished', 2]])
})

test('closing a wire fails its attempts once, and a newer wire of the same worker goes on', () => {
  const { worker, listener, dispatcher } = start()
  const newer = new ScriptedWorker(dispatcher, worker.peerId).connect()
  worker.disconnect()
  worker.disconnect()
  expect(listener.said).toStrictEqual([['failed', 'QM_WORKER_LOST']])
  expect(dispatcher.isConnected(worker.peerId)).toBe(true)
  expect(worker.tokens(0, 1)).toBe('late')
  const again = new Listener()
  expect(dispatcher.open(newer.peerId, toPrompt('1'.repeat(32)), again)).not.toBeNull()
  newer.tokens(0, 1, toFinish(1))
  expect(again.said).toStrictEqual([['finished', 1]])
})

describe('after a storm of cancels', () => {
  const toRequestId = (index: number): string => index.toString(16).padStart(32, '0')
  const storm = (): ScriptedWorker => {
    const { dispatcher, worker } = start()
    for (let index = 0; index < 1_000; index++) {
      dispatcher.open(worker.peerId, toPrompt(toRequestId(index)), new Listener())?.cancel()
    }
    return worker
  }
  const refuse = (worker: ScriptedWorker, index: number) =>
    worker.say({
      type: 'inference_error',
      requestId: toRequestId(index),
      code: 'QM_RATE_LIMITED',
      message: '',
    })

  test('a worker that stood still meanwhile may answer every one of them', () => {
    const worker = storm()
    const heard = new Set(Array.from({ length: 1_000 }, (_, index) => refuse(worker, index)))
    expect([...heard]).toStrictEqual(['late'])
  })

  test('what is believed of requests that are forgotten is bounded', () => {
    const worker = storm()
    const heard = Array.from({ length: 100_000 }, () => refuse(worker, 1_000_000))
    expect(heard.indexOf('violation')).toBeGreaterThan(0)
    expect(heard.at(-1)).toBe('violation')
  })
})

test('a worker that no offer is made to, because it is banned, hears nothing, and the attempt says why', () => {
  const dispatcher = new Dispatcher(() => 0, {
    begin: () => {
      throw new QMeshError('QM_ACCOUNT_BANNED', 'it lied')
    },
  })
  const worker = new ScriptedWorker(dispatcher, toPeerId(1)).connect()
  const listener = new Listener()
  const open = dispatcher.open(worker.peerId, toPrompt(), listener)
  expect(listener.said).toStrictEqual([['failed', 'QM_ACCOUNT_BANNED']])
  open?.cancel()
  open?.acknowledge(0)
  expect(worker.heard).toStrictEqual([])
  expect(dispatcher.size).toBe(0)
})

describe('embeddings', () => {
  const size = 3
  const axis = Float32Array.from([0, 1, 0])
  const block = (...vectors: number[][]): string =>
    encodeEmbeddings(vectors.map((vector) => Float32Array.from(vector)))
  const good = block([0, 1, 0], [0, 0, -1])

  function startEmbedding() {
    const dispatcher = new Dispatcher(() => 0)
    const worker = new ScriptedWorker(dispatcher, toPeerId(1)).connect()
    const said: unknown[] = []
    const listener: AttemptListener = {
      queued: () => {},
      tokens: () => said.push('tokens'),
      finished: (finish, vectors) => said.push([finish, vectors]),
      failed: ({ code }) => said.push(code),
    }
    const { prompt: _, ...rest } = toPrompt()
    dispatcher.open(worker.peerId, { ...rest, embed: ['one', 'other'] }, listener, size)
    return { dispatcher, worker, said }
  }

  test('come with the finish, which has them no more when it is passed on', () => {
    const { worker, said, dispatcher } = startEmbedding()
    worker.position(0)
    expect(worker.tokens(0, 0, toFinish(0, { embeddings: good }))).toBe('ok')
    expect(said).toStrictEqual([[toFinish(0), [axis, Float32Array.from([0, 0, -1])]]])
    expect(dispatcher.size).toBe(0)
  })

  test.each<[string, (worker: ScriptedWorker) => unknown]>([
    ['no embeddings', (worker) => worker.tokens(0, 0, toFinish(0))],
    ['too few', (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1, 0]) }))],
    [
      'too many',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1, 0], [0, 1, 0], [0, 1, 0]) })),
    ],
    [
      'ones of another size',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1], [1, 0]) })),
    ],
    [
      'a number that is none',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1, 0], [NaN, 1, 0]) })),
    ],
    [
      'an infinite number',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1, 0], [Infinity, 0, 0]) })),
    ],
    [
      'a vector without direction',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1, 0], [0, 0, 0]) })),
    ],
    [
      'a vector of length 2',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: block([0, 1, 0], [0, 2, 0]) })),
    ],
    ['tokens', (worker) => worker.tokens(0, 1)],
    ['tokens with the finish', (worker) => worker.tokens(0, 1, toFinish(1, { embeddings: good }))],
    ['tokens that never came', (worker) => worker.tokens(0, 0, toFinish(2, { embeddings: good }))],
    [
      'text',
      (worker) =>
        worker.say({ type: 'response', requestId: worker.requestId, seq: 0, tokens: [], text: 'x' }),
    ],
    [
      'another prompt length',
      (worker) => worker.tokens(0, 0, toFinish(0, { embeddings: good, promptTokens: 8 })),
    ],
  ])('%s: a violation, and no vector reaches the reader', (_what, commit) => {
    const { worker, said } = startEmbedding()
    worker.position(0)
    expect(commit(worker)).toBe('violation')
    expect(said).toStrictEqual(['QM_WORKER_MISBEHAVED'])
    expect(worker.wasCancelled).toBe(true)
  })

  test('with an answer they are a violation', () => {
    const { worker, listener } = start()
    expect(worker.tokens(0, 1, toFinish(1, { embeddings: good }))).toBe('violation')
    expect(listener.said).toStrictEqual([['failed', 'QM_WORKER_MISBEHAVED']])
    expect(listener.text).toBe('')
  })
})
