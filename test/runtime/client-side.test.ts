import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { createActor, SimulatedClock } from 'xstate'
import type { WorkerWire } from '../../actors/peer/wire.ts'
import type { RequesterCommand } from '../../machines/request/index.ts'
import { limits, type ClientMessage, type Response } from '../../protocol/index.ts'
import { createClientSide } from '../../runtime/client-side.ts'
import { effortNetwork } from '../support/effort.ts'
import { modelAd, samples } from '../support/messages.ts'

/** A client that stands still in time, and whose requests nobody runs. */
const alone: Parameters<typeof createClientSide>[0] = {
  selfId: 'f'.repeat(64),
  now: () => 0,
  logger: pino({ level: 'silent' }),
  requester: () => undefined,
  isOnline: () => true,
  onWorkers: () => {},
}

/** One whose requests run, until the test ends. */
function startClientSide(
  over: Partial<typeof alone> = {},
  { requestsMax = 10, clock }: { requestsMax?: number; clock?: SimulatedClock } = {},
) {
  let requester: { send(command: RequesterCommand): void } | undefined
  const client = createClientSide({ ...alone, requester: () => requester, ...over })
  const actor = createActor(client.asker.createRequester(), {
    input: { requestsMax },
    ...(clock && { clock }),
  }).start()
  onTestFinished(() => void actor.stop())
  requester = actor
  return client
}

const workerId = 'a'.repeat(64)

const createWire = (heard: ClientMessage[] = []): WorkerWire => ({
  peerId: workerId,
  life: { heardAtMs: Infinity, silenceMsMax: 0, ping: () => {}, sample: () => {} },
  send: (message) => heard.push(message) > 0,
})

test('a worker that came back before its old connection ended stays known', () => {
  const client = createClientSide(alone)
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

/** A client side whose workers, one for each number, hold contexts of so many tokens and refuse what is beyond them. */
function createMesh(contexts: readonly number[], promptTokens: number) {
  const client = startClientSide()
  for (const [index, contextTokens] of contexts.entries()) {
    const wire: WorkerWire = {
      peerId: index.toString(16).padStart(64, '0'),
      life: { heardAtMs: Infinity, silenceMsMax: 0, ping: () => {}, sample: () => {} },
      send: (message) => {
        if (message.type !== 'prompt') return true
        const { requestId, maxTokens } = message
        const isTooMuch = promptTokens + maxTokens > contextTokens
        setImmediate(() => {
          if (isTooMuch) {
            const code = 'QM_CONTEXT_EXCEEDED'
            client.dispatcher.received(wire, {
              type: 'inference_error',
              requestId,
              code,
              message: 'too long',
            })
            return
          }
          client.dispatcher.received(wire, toAnswer(requestId, promptTokens))
        })
        return true
      },
    }
    client.dispatcher.opened(wire)
    client.hello(wire.peerId, { ...samples.hello, models: [{ ...modelAd, contextTokens }] })
  }
  return client
}

const finish = {
  reason: 'stop',
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  queuedMs: 0,
  firstTokenMs: 0,
  totalMs: 0,
} as const
const runs = Array.from({ length: 20 })

/** One token, and that was all. */
const toAnswer = (requestId: string, promptTokens = 0): Response => ({
  ...samples.response,
  requestId,
  seq: 0,
  tokens: [1],
  text: 'a',
  finish: { ...finish, promptTokens, completionTokens: 1 },
})

test('a long answer is asked of the worker that has room for it', async () => {
  for (const _ of runs) {
    const client = createMesh([2_048, 2_048, 8_192], 10)
    const { attempts } = await client.asker.ask('hello', { maxTokens: 4_000 }).result
    expect(attempts).toHaveLength(1)
  }
})

test('a prompt too long for one worker goes to one with more room next', async () => {
  for (const _ of runs) {
    const client = createMesh([2_048, 2_048, 2_048, 8_192], 3_000)
    const { attempts } = await client.asker.ask('hello').result
    expect(attempts.length).toBeLessThanOrEqual(2)
  }
})

test('where no worker has the room, they are asked all the same, and say why', async () => {
  const client = createMesh([2_048, 2_048, 2_048], 10)
  const { result } = client.asker.ask('hello', { maxTokens: 4_000 })
  await expect(result).rejects.toMatchObject({ code: 'QM_CONTEXT_EXCEEDED', attempts: [{}, {}] })
})

test.each([
  ['as long as it asked for', 20_000, 20_000],
  ['no longer than a claim is worth', 3_600_000, 30_000],
])('a worker that refuses is left alone %s', async (_, retryAfterMs, pauseMs) => {
  let nowMs = 1_000
  const client = startClientSide({ now: () => nowMs })
  const heard: ClientMessage[] = []
  const wire = createWire(heard)
  client.dispatcher.opened(wire)
  client.hello(workerId, { ...samples.hello, models: [modelAd] })
  const answer = client.asker.ask('hello')
  await new Promise((resolve) => setImmediate(resolve))
  const requestId = heard[0]?.type === 'prompt' ? heard[0].requestId : ''
  client.dispatcher.received(wire, {
    type: 'inference_error',
    requestId,
    code: 'QM_OVERLOADED',
    message: 'busy',
    retryAfterMs,
  })
  await expect(answer.result).rejects.toMatchObject({ code: 'QM_OVERLOADED', retryAfterMs })
  const barred = () => client.directory.list(nowMs)[0]?.barred
  nowMs += pauseMs - 1
  expect(barred()).toBe('refused-lately')
  nowMs += 2
  expect(barred()).toBeUndefined()
})

test('work that a worker asks for counts for choosing, unless this client is spared it', () => {
  const spared = 'b'.repeat(64)
  const client = createClientSide({
    ...alone,
    network: effortNetwork,
    isEffortExempt: (workerId) => workerId === spared,
  })
  const effort = { bits: 7, seed: '0'.repeat(32) }
  for (const id of [workerId, spared]) {
    client.hello(id, { ...samples.hello, models: [modelAd] })
    client.status(id, { ...samples.status, effort })
  }
  const bits = () => client.directory.list(0).map((worker) => worker.effortBits)
  expect(bits()).toEqual([7, undefined])
  client.status(workerId, samples.status)
  expect(bits()).toEqual([undefined, undefined])
})

/** A worker that answers when it is told to; the requests it has, in the order in which they came. */
function createSlowWorker(client: ReturnType<typeof startClientSide>) {
  const open: string[] = []
  const heard: ClientMessage[] = []
  const wire: WorkerWire = {
    ...createWire(),
    send: (message) => {
      heard.push(message)
      if (message.type === 'prompt') open.push(message.requestId)
      return true
    },
  }
  client.dispatcher.opened(wire)
  client.hello(workerId, { ...samples.hello, models: [modelAd] })
  client.status(workerId, {
    ...samples.status,
    models: [modelAd],
    slots: 4,
    slotsBusy: 4,
    queueLength: 60,
    queueCapacity: 500,
  })
  return {
    open,
    heard,
    answer: () => {
      const requestId = open.shift() ?? ''
      client.dispatcher.received(wire, toAnswer(requestId))
    },
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('whoever waits because this client has open all it may goes before those who come later', async () => {
  const client = startClientSide({ now: () => performance.now() }, { requestsMax: 100 })
  const worker = createSlowWorker(client)
  const asked = Array.from({ length: limits.requestsPerPeerMax }, () => client.asker.ask('hello'))
  await turn()
  expect(worker.open).toEqual(asked.map(({ requestId }) => requestId))
  const first = client.asker.ask('first to wait')
  await turn()
  const second = client.asker.ask('second to wait')
  await turn()
  expect(worker.open).toHaveLength(limits.requestsPerPeerMax)

  worker.answer()
  const newcomer = client.asker.ask('comes at the moment in which there is room')
  await expect.poll(() => worker.open).toHaveLength(limits.requestsPerPeerMax)
  expect(worker.open.at(-1)).toBe(first.requestId)
  worker.answer()
  await expect.poll(() => worker.open).toHaveLength(limits.requestsPerPeerMax)
  expect(worker.open.at(-1)).toBe(second.requestId)
  // Who leaves holds up nobody.
  const last = client.asker.ask('last')
  await turn()
  newcomer.cancel()
  worker.answer()
  await expect.poll(() => worker.open).toHaveLength(limits.requestsPerPeerMax)
  expect(worker.open.at(-1)).toBe(last.requestId)
})

test('the worker hears that a request is cancelled before it is sent the one that takes its place', async () => {
  const clock = new SimulatedClock()
  const client = startClientSide({ now: () => clock.now() }, { requestsMax: 100, clock })
  const worker = createSlowWorker(client)
  const [cancelled] = Array.from({ length: limits.requestsPerPeerMax }, () => client.asker.ask('hello'))
  const waiting = client.asker.ask('waits')
  await turn()
  // Long enough that those who wait hear of news at once.
  for (let step = 0; step < 4; step++) clock.increment(50)
  worker.heard.length = 0
  cancelled?.cancel()
  await turn()
  expect(worker.heard).toMatchObject([
    { type: 'cancel', requestId: cancelled?.requestId },
    { type: 'prompt', requestId: waiting.requestId },
  ])
})

test('a request that waited in vain behind others of its own client hears that it was they', async () => {
  const client = startClientSide({ now: () => performance.now() }, { requestsMax: 100 })
  createSlowWorker(client)
  for (let asked = 0; asked < limits.requestsPerPeerMax; asked++) client.asker.ask('hello')
  await turn()
  const bound = client.asker.ask('late', { discoverMs: 100 })
  await expect(bound.result).rejects.toMatchObject({
    code: 'QM_QUEUE_FULL',
    message: expect.stringContaining('1 with 64 requests of this node') as string,
  })
  // And "why" shows that this one was not to have anybody yet.
  client.asker.ask('first to wait')
  await turn()
  const behind = client.asker.ask('second to wait')
  await turn()
  expect(client.traces.why(behind.requestId).search?.reasons).toEqual([{ workerId, rejected: 'excluded' }])
})

test('whoever waits for the turn of others goes on waiting while they get it, and no longer', async () => {
  const clock = new SimulatedClock()
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 50) clock.increment(50)
  }
  const client = startClientSide({ now: () => clock.now() }, { requestsMax: 100, clock })
  const worker = createSlowWorker(client)
  const ask = (prompt: string, discoverMs: number) => client.asker.ask(prompt, { discoverMs })
  for (let asked = 0; asked < limits.requestsPerPeerMax; asked++) ask('hello', 1_000)
  await turn()
  const before = ask('before', 60_000)
  const last = ask('last', 1_000)
  await turn()
  pass(900)
  worker.answer()
  await turn()
  expect(worker.open.at(-1)).toBe(before.requestId)
  pass(1_000)
  const state = () => client.traces.why(last.requestId).state
  expect(state()).toBe('open')
  pass(200)
  await expect(last.result).rejects.toMatchObject({ code: 'QM_QUEUE_FULL' })
})
