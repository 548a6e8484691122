import { expect, test } from 'vitest'
import { createActor, fromCallback, SimulatedClock } from 'xstate'
import {
  requesterMachine,
  requestMachine,
  requestShardMachine,
  requestsPerShardMax,
  type AttemptEvent,
  type AttemptInput,
  type RequestFact,
  type RequestInput,
  type RequesterEmitted,
} from '../../../machines/request/index.ts'
import { flatStall, model, toWorkerId } from './request-rig.ts'

function createRequesterRig(requestsMax = 1_024) {
  const clock = new SimulatedClock()
  const facts: (RequestFact & { requestId: string })[] = []
  const running = new Map<string, (event: AttemptEvent) => void>()
  const attempt = fromCallback<{ type: 'never' }, AttemptInput, AttemptEvent>(({ input, sendBack }) => {
    running.set(input.requestId, sendBack)
    return () => void running.delete(input.requestId)
  })
  const request = requestMachine.provide({ actors: { attempt } })
  const shard = requestShardMachine.provide({ actors: { request } })
  const lifeline = { cut: 0 }
  const actor = createActor(
    requesterMachine.provide({
      actors: { shard, lifeline: fromCallback(() => () => void lifeline.cut++) },
    }),
    { clock, input: { requestsMax } },
  )
  const emitted: RequesterEmitted[] = []
  actor.on('*', (event) => emitted.push(event))
  actor.start()
  const open = (index: number, over: Partial<RequestInput> = {}): string => {
    const requestId = index.toString(16).padStart(32, '0')
    actor.send({
      type: 'request.open',
      request: {
        requestId,
        choose: () => ({ workerId: toWorkerId(0), model }),
        hasElsewhere: () => false,
        watch: { signsOf: () => null, isLeaving: () => false, now: () => clock.now() },
        whyNobody: () => ({ code: 'QM_NO_WORKERS' }),
        isNearer: () => false,
        report: (fact) => void facts.push({ ...fact, requestId }),
        now: () => clock.now(),
        promptTokens: 0,
        attemptsMax: 1,
        discoverMs: 10_000,
        deadlineMs: null,
        stall: flatStall,
        ...over,
      },
    })
    return requestId
  }
  /** Requests under each shard, as XState keeps them. */
  const shards = (): number[] =>
    Object.values(actor.getSnapshot().children).flatMap((child) => {
      const snapshot = child?.getSnapshot()
      return snapshot && 'children' in snapshot ? [Object.keys(snapshot.children).length] : []
    })
  return { actor, clock, emitted, facts, lifeline, open, running, shards }
}

const finish = {
  reason: 'stop',
  promptTokens: 1,
  cachedTokens: 0,
  completionTokens: 4,
  queuedMs: 0,
  firstTokenMs: 0,
  totalMs: 0,
} as const

test('300 requests at once are spread over parents, and every one is forgotten when done', () => {
  const rig = createRequesterRig()
  const ids = Array.from({ length: 300 }, (_, index) => rig.open(index))
  expect(rig.running.size).toBe(300)
  expect(rig.shards()).toStrictEqual([requestsPerShardMax, requestsPerShardMax, requestsPerShardMax])
  ids.forEach((requestId, index) => {
    if (index % 3 === 0) rig.actor.send({ type: 'request.cancel', requestId })
    else if (index % 3 === 1) rig.running.get(requestId)?.({ type: 'attempt.finished', attempt: 0, finish })
    else
      rig.running.get(requestId)?.({ type: 'attempt.failed', attempt: 0, code: 'QM_QUEUE_FULL', tokens: 0 })
  })
  expect(rig.shards()).toStrictEqual([])
  expect(rig.running.size).toBe(0)
  expect(rig.actor.getSnapshot().context.openByShard.size).toBe(0)
  expect(rig.emitted.at(-1)).toMatchObject({ type: 'request.closed', open: 0 })
  expect(rig.emitted).toHaveLength(600)
  rig.open(999)
  expect(rig.shards()).toStrictEqual([1])
})

test('one request more than allowed is refused, and there is room again when one ends', () => {
  const rig = createRequesterRig(2)
  const first = rig.open(1)
  rig.open(2)
  const third = rig.open(3)
  expect(rig.facts).toContainEqual(
    expect.objectContaining({
      requestId: third,
      type: 'request.failed',
      failure: expect.objectContaining({ code: 'QM_TOO_MANY_REQUESTS' }),
    }),
  )
  rig.actor.send({ type: 'request.cancel', requestId: first })
  rig.open(4)
  expect(rig.running.size).toBe(2)
})

test('stopping fails what is open with QM_NODE_STOPPED, takes nothing more, and ends', () => {
  const rig = createRequesterRig()
  const ids = [rig.open(1), rig.open(2, { choose: () => null })]
  rig.actor.send({ type: 'requester.stop' })
  for (const requestId of ids) {
    expect(rig.facts).toContainEqual(
      expect.objectContaining({ requestId, type: 'request.failed', failure: { code: 'QM_NODE_STOPPED' } }),
    )
  }
  expect(rig.actor.getSnapshot().status).toBe('done')
  expect(rig.running.size).toBe(0)
  expect(rig.lifeline.cut).toBe(1)
})

test('a request whose actor breaks is reported and forgotten, its siblings unharmed', () => {
  const rig = createRequesterRig()
  const sibling = rig.open(1)
  const broken = rig.open(2, {
    choose: () => {
      throw new Error('defect')
    },
  })
  expect(rig.facts).toContainEqual(
    expect.objectContaining({ requestId: broken, failure: expect.objectContaining({ code: 'QM_INTERNAL' }) }),
  )
  expect(rig.shards()).toStrictEqual([1])
  expect(rig.running.has(sibling)).toBe(true)
  expect(rig.actor.getSnapshot().status).toBe('active')
})

test('a burst of changes among the workers reaches waiting requests at once and then once per pause', () => {
  const rig = createRequesterRig()
  let looks = 0
  rig.open(1, {
    choose: () => {
      looks++
      return null
    },
  })
  for (let index = 0; index < 100; index++) rig.actor.send({ type: 'workers.changed' })
  expect(looks).toBe(2)
  rig.clock.increment(50)
  expect(looks).toBe(3)
  rig.clock.increment(50)
  rig.clock.increment(50)
  expect(looks).toBe(3)
})
