import { describe, expect, test } from 'vitest'
import type { AnyStateNode } from 'xstate'
import type { ErrorCode } from '../../../protocol/index.ts'
import { getShortestPaths } from 'xstate/graph'
import {
  defaultStallPolicy,
  requestMachine,
  type RequestCommand,
  type RequestInput,
} from '../../../machines/request/index.ts'
import { createRequestRig, flatStall, model, silent, toWorkerId, type RequestRig } from './request-rig.ts'

const finish = {
  reason: 'stop',
  promptTokens: 1,
  cachedTokens: 0,
  completionTokens: 4,
  queuedMs: 0,
  firstTokenMs: 0,
  totalMs: 0,
} as const

/** Ways into each state of waiting, from a fresh request that knows two workers. */
const phases: Record<string, (rig: RequestRig) => void> = {
  opening: () => {},
  solving,
  queued: (rig) => queued(rig, 0, 3),
  starting: (rig) => queued(rig, 0, 0),
  flowing: (rig) => rig.attempts[0]?.send({ type: 'attempt.started', attempt: 0, tokens: 1, atMs: 0 }),
  held: (rig) => {
    rig.attempts[0]?.send({ type: 'attempt.started', attempt: 0, tokens: 1, atMs: 0 })
    rig.attempts[0]?.send({ type: 'attempt.held', attempt: 0 })
  },
}

function queued(rig: RequestRig, attempt: number, position: number, promptTokens = 0): void {
  rig.attempts[attempt]?.send({ type: 'attempt.queued', attempt, position, etaMs: 0, promptTokens })
}

function solving(rig: RequestRig): void {
  rig.attempts[0]?.send({ type: 'attempt.solving', attempt: 0, bits: 10, etaMs: 0 })
}

const firstCodeOf = (rig: RequestRig): ErrorCode | undefined =>
  rig.actor.getSnapshot().context.attempts[0]?.code

const codeOf = (rig: RequestRig): string | undefined => rig.actor.getSnapshot().output?.failure?.code

test('every state can be reached', () => {
  const reached = new Set<string>()
  const input = (known: number): RequestInput => ({
    requestId: 'f'.repeat(32),
    choose: (exclude) => (exclude.size < known ? { workerId: toWorkerId(exclude.size), model } : null),
    hasElsewhere: (exclude) => exclude.size < known,
    watch: { signsOf: () => null, isLeaving: () => false, now: () => 0 },
    whyNobody: () => ({ code: 'QM_NO_WORKERS' }),
    isNearer: () => false,
    report: () => {},
    now: () => 0,
    promptTokens: 0,
    attemptsMax: 2,
    discoverMs: 1,
    deadlineMs: 1,
    stall: flatStall,
  })
  const events: RequestCommand[] = [
    { type: 'request.cancel' },
    { type: 'workers.changed' },
    { type: 'attempt.queued', attempt: 0, position: 2, etaMs: 0, promptTokens: 1 },
    { type: 'attempt.queued', attempt: 0, position: 0, etaMs: 0, promptTokens: 1 },
    { type: 'attempt.solving', attempt: 0, bits: 10, etaMs: 1 },
    { type: 'attempt.solved', attempt: 0, ms: 1 },
    { type: 'attempt.started', attempt: 0, tokens: 1, atMs: 0 },
    { type: 'attempt.held', attempt: 0 },
    { type: 'attempt.resumed', attempt: 0 },
    { type: 'attempt.finished', attempt: 0, finish },
    { type: 'attempt.doubted', attempt: 0, code: 'QM_WORKER_LOST', isLasting: false, isCertain: false },
    { type: 'attempt.failed', attempt: 0, code: 'QM_QUEUE_FULL', tokens: 0 },
  ]
  for (const known of [0, 2]) {
    const paths = getShortestPaths(requestMachine, {
      input: input(known),
      events,
      serializeState: ({ value, context }) => JSON.stringify([value, context.attempts.length]),
    })
    for (const { state } of paths) reached.add(JSON.stringify(state.value))
  }
  const atomic = (node: AnyStateNode): AnyStateNode[] =>
    node.type === 'compound' ? Object.values(node.states).flatMap(atomic) : [node]
  // Three states only ask and move on at once.
  const passing = ['choosing', 'returning', 'looking']
  const resting = atomic(requestMachine.root).filter(({ key }) => !passing.includes(key))
  const missing = resting.filter(({ key }) => ![...reached].some((value) => value.includes(`"${key}"`)))
  expect(missing.map(({ key }) => key)).toStrictEqual([])
  expect(reached.size).toBe(resting.length)
})

describe.each(Object.keys(phases))('while %s', (phase) => {
  const enter = (): RequestRig => {
    const rig = createRequestRig()
    phases[phase]?.(rig)
    expect(JSON.stringify(rig.actor.getSnapshot().value)).toContain(phase)
    return rig
  }

  test('a cancel ends it once, stops the attempt, and blames nobody', () => {
    const rig = enter()
    rig.actor.send({ type: 'request.cancel' })
    rig.attempts[0]?.send({ type: 'attempt.finished', attempt: 0, finish })
    expect(codeOf(rig)).toBe('QM_CANCELLED')
    expect(rig.attempts.map(({ stopped }) => stopped)).toStrictEqual([1])
    expect(rig.facts.map(({ type }) => type).slice(-2)).toStrictEqual(['attempt.dropped', 'request.failed'])
    expect(rig.facts.filter(({ type }) => type === 'request.failed')).toHaveLength(1)
  })

  test('the deadline of the whole request ends it', () => {
    const rig = createRequestRig({
      stall: {
        ...flatStall,
        stallMsMax: 1e9,
        openingMs: 1e6,
        queuedMs: 1e6,
        firstTokenMs: 1e6,
        gapMs: 1e6,
        readerIdleMs: 1e6,
      },
    })
    phases[phase]?.(rig)
    rig.pass(20_000)
    expect(rig.actor.getSnapshot().status).toBe('active')
    rig.pass(50)
    expect(codeOf(rig)).toBe('QM_DEADLINE_PASSED')
    expect(rig.attempts[0]?.stopped).toBe(1)
  })

  test('silence ends the attempt, and moves it elsewhere unless it was the reader who was silent', () => {
    const rig = enter()
    rig.pass(4_100)
    const [first] = rig.actor.getSnapshot().context.attempts
    const codes: Record<string, ErrorCode> = { held: 'QM_READER_TOO_SLOW', solving: 'QM_EFFORT_REQUIRED' }
    expect(first?.code).toBe(codes[phase] ?? 'QM_WORKER_STALLED')
    expect(rig.attempts.length > 1).toBe(phase !== 'held')
  })

  test('an event of an attempt that is over changes nothing', () => {
    const rig = enter()
    const before = JSON.stringify(rig.actor.getSnapshot().value)
    rig.actor.send({ type: 'attempt.failed', attempt: 7, code: 'QM_WORKER_LOST', tokens: 0 })
    rig.actor.send({ type: 'attempt.finished', attempt: 7, finish })
    rig.actor.send({ type: 'attempt.queued', attempt: 7, position: 9, etaMs: 0, promptTokens: 0 })
    expect(JSON.stringify(rig.actor.getSnapshot().value)).toBe(before)
  })
})

test('no worker known: it says so once, takes the first that appears, and gives up in the end', () => {
  const rig = createRequestRig({}, 0)
  rig.pass(1_000)
  expect(rig.facts).toStrictEqual([{ type: 'request.waiting' }])
  rig.state.known = 1
  rig.actor.send({ type: 'workers.changed' })
  expect(rig.attempts).toHaveLength(1)

  const alone = createRequestRig({}, 0)
  alone.pass(2_550)
  expect(codeOf(alone)).toBe('QM_NO_WORKERS')
})

test('the wait for a worker begins anew while others before it get their turn, and is said once', () => {
  const turns = [true, true, false]
  const rig = createRequestRig({ isNearer: () => turns.shift() ?? false }, 0)
  rig.pass(3 * 2_500)
  expect(rig.facts).toStrictEqual([{ type: 'request.waiting' }])
  expect(codeOf(rig)).toBeUndefined()
  rig.pass(3 * 50)
  expect(codeOf(rig)).toBe('QM_NO_WORKERS')
})

test('a worker that becomes eligible by time alone is found without an event', () => {
  const rig = createRequestRig({}, 0)
  rig.state.known = 1
  rig.pass(250)
  expect(rig.attempts).toHaveLength(1)
})

test('work takes the time that it is expected to, and much more, before somebody else is asked', () => {
  const rig = createRequestRig()
  rig.attempts[0]?.send({ type: 'attempt.solving', attempt: 0, bits: 20, etaMs: 500 })
  rig.pass(flatStall.openingMs + 8 * 500 - 50)
  expect(rig.attempts).toHaveLength(1)
  rig.pass(50)
  expect(firstCodeOf(rig)).toBe('QM_EFFORT_REQUIRED')
  expect(rig.attempts).toHaveLength(2)
})

test('work that is done leaves the worker all of its time, and is told', () => {
  const rig = createRequestRig()
  rig.attempts[0]?.send({ type: 'attempt.solving', attempt: 0, bits: 20, etaMs: 500 })
  rig.pass(3_000)
  rig.attempts[0]?.send({ type: 'attempt.solved', attempt: 0, ms: 3_000 })
  rig.pass(flatStall.openingMs - 50)
  expect(rig.actor.getSnapshot().value).toStrictEqual({ attempting: 'opening' })
  expect(rig.facts.slice(-2)).toMatchObject([
    { type: 'attempt.solving', bits: 20, etaMs: 500 },
    { type: 'attempt.solved', ms: 3_000 },
  ])
})

test('a position keeps a waiting request alive for as long as positions come', () => {
  const rig = createRequestRig()
  for (let position = 9; position > 0; position--) {
    queued(rig, 0, position)
    rig.pass(1_900)
  }
  expect(rig.actor.getSnapshot().value).toStrictEqual({ attempting: 'queued' })
})

test('a position that gets no nearer keeps nothing alive, however often it is said', () => {
  const rig = createRequestRig()
  for (const position of [3, 4, 3, 5, 3]) {
    queued(rig, 0, position)
    rig.pass(500)
  }
  expect(firstCodeOf(rig)).toBe('QM_WORKER_STALLED')
})

test('every sign of progress starts the stall timer again', () => {
  const rig = createRequestRig()
  phases['flowing']?.(rig)
  for (let tokens = 2; tokens < 6; tokens++) {
    rig.pass(1_500)
    rig.attempts[0]?.send({ type: 'attempt.progressed', attempt: 0, tokens, atMs: rig.clock.now() })
  }
  expect(rig.actor.getSnapshot().value).toStrictEqual({ attempting: { streaming: 'flowing' } })
  rig.pass(1_750)
  expect(firstCodeOf(rig)).toBe('QM_WORKER_STALLED')
})

test('a reader who is behind stops the stall timer, and one who catches up starts it again', () => {
  const rig = createRequestRig()
  phases['held']?.(rig)
  rig.pass(3_900)
  rig.attempts[0]?.send({ type: 'attempt.resumed', attempt: 0 })
  rig.pass(1_700)
  expect(rig.actor.getSnapshot().status).toBe('active')
  rig.pass(100)
  expect(firstCodeOf(rig)).toBe('QM_WORKER_STALLED')
})

describe('an answer that was cut off', () => {
  const cutOff = (known: number, code: ErrorCode = 'QM_WORKER_LOST'): RequestRig => {
    const rig = createRequestRig({}, known)
    phases['flowing']?.(rig)
    rig.attempts[0]?.send({ type: 'attempt.failed', attempt: 0, code, tokens: 5 })
    return rig
  }

  test('goes on at another worker', () => {
    const rig = cutOff(2)
    expect(rig.attempts[1]?.input.choice?.workerId).toBe(toWorkerId(1))
    rig.attempts[1]?.send({ type: 'attempt.started', attempt: 1, tokens: 6, atMs: 0 })
    rig.attempts[1]?.send({ type: 'attempt.finished', attempt: 1, finish })
    expect(rig.actor.getSnapshot().output?.failure).toBeNull()
  })

  test('waits a little for a worker that may come, and then says what there is', () => {
    const rig = cutOff(1, 'QM_WORKER_MISBEHAVED')
    expect(rig.actor.getSnapshot().value).toStrictEqual({ selecting: 'discovering' })
    rig.pass(2_550)
    const failure = rig.actor.getSnapshot().output?.failure
    expect(failure).toMatchObject({
      code: 'QM_WORKER_MISBEHAVED',
      message: expect.stringContaining('No other worker could go on after 5 tokens') as string,
    })
  })

  test('goes back to the same worker if that was only lost, but not in one step', () => {
    const rig = cutOff(1)
    expect(rig.attempts).toHaveLength(1)
    rig.actor.send({ type: 'workers.changed' })
    expect(rig.attempts[1]?.input.choice?.workerId).toBe(toWorkerId(0))
  })
})

describe('a doubt', () => {
  const doubt = {
    type: 'attempt.doubted',
    attempt: 0,
    code: 'QM_DRAINING',
    isLasting: false,
    isCertain: false,
  } as const

  test('moves the answer to another worker', () => {
    const rig = createRequestRig({}, 2)
    phases['flowing']?.(rig)
    rig.attempts[0]?.send(doubt)
    expect(firstCodeOf(rig)).toBe('QM_DRAINING')
    expect(rig.attempts).toHaveLength(2)
  })

  test('changes nothing while there is no other worker, and is heard again when there is', () => {
    const rig = createRequestRig({}, 1)
    phases['flowing']?.(rig)
    rig.attempts[0]?.send(doubt)
    expect(rig.actor.getSnapshot().value).toStrictEqual({ attempting: { streaming: 'flowing' } })
    rig.state.known = 2
    rig.attempts[0]?.send(doubt)
    expect(rig.attempts).toHaveLength(2)
  })

  test('comes soon about a worker that is not there any more', () => {
    const rig = createRequestRig()
    rig.state.signs = silent
    phases['flowing']?.(rig)
    rig.pass(150)
    expect(rig.attempts).toHaveLength(1)
    rig.pass(250)
    expect(firstCodeOf(rig)).toBe('QM_WORKER_LOST')
  })

  test('comes later each time: when all seem to be gone it is the network of this client', () => {
    const rig = createRequestRig({ attemptsMax: 20 }, 5)
    rig.state.signs = silent
    phases['flowing']?.(rig)
    const lostAtMs: number[] = []
    for (let ms = 0; ms < 3_000; ms += 50) {
      rig.pass(50)
      if (rig.attempts.length - 1 > lostAtMs.length) lostAtMs.push(rig.clock.now())
    }
    const [first = 0, second = 0, third = 0] = lostAtMs
    expect(first).toBeLessThan(450)
    expect(second - first).toBeGreaterThanOrEqual(300)
    expect(third - second).toBeGreaterThanOrEqual(600)
  })

  const start = (rig: RequestRig, attempt: number): void =>
    rig.attempts[attempt]?.send({
      type: 'attempt.started',
      attempt,
      tokens: attempt + 1,
      atMs: rig.clock.now(),
    })
  const untilAttempt = (rig: RequestRig, attempt: number): number => {
    const fromMs = rig.clock.now()
    while (rig.attempts.length <= attempt && rig.clock.now() < fromMs + 20_000) rig.pass(50)
    return rig.clock.now() - fromMs
  }

  const patient = { stall: defaultStallPolicy, deadlineMs: null }

  test('that lasts leads back to the worker that was left before, if there is no other', () => {
    const rig = createRequestRig(patient, 2)
    const { still } = rig.state
    start(rig, 0)
    still.add(toWorkerId(0))
    untilAttempt(rig, 1)
    still.clear()
    start(rig, 1)
    rig.pass(1_000)
    still.add(toWorkerId(1))
    expect(untilAttempt(rig, 2)).toBeLessThan(1_500)
    expect(rig.attempts[2]?.input.choice?.workerId).toBe(toWorkerId(0))
  })

  test('moves the last attempt, too: what is lost does not count as one', () => {
    const rig = createRequestRig({ ...patient, attemptsMax: 2 }, 4)
    rig.attempts[0]?.send({ type: 'attempt.failed', attempt: 0, code: 'QM_QUEUE_FULL', tokens: 0 })
    start(rig, 1)
    rig.state.still.add(toWorkerId(1))
    expect(untilAttempt(rig, 2)).toBeLessThan(450)
  })

  test('takes no more than five seconds, however many came before', () => {
    const rig = createRequestRig({ ...patient, attemptsMax: 5 }, 6)
    for (const attempt of [0, 1, 2, 3]) {
      rig.attempts[attempt]?.send({ type: 'attempt.failed', attempt, code: 'QM_WORKER_LOST', tokens: 1 })
      start(rig, attempt + 1)
    }
    rig.state.signs = { ...silent, silenceMsMax: 2_000 }
    expect(untilAttempt(rig, 5)).toBeLessThan(5_300)
  })

  test('becomes certain about a worker that dies while it drains', () => {
    const rig = createRequestRig({ stall: { ...flatStall, gapMs: 60_000 } }, 1)
    rig.state.signs = silent
    rig.state.isLeaving = true
    phases['flowing']?.(rig)
    rig.pass(9_000)
    expect(firstCodeOf(rig)).toBe('QM_WORKER_LOST')
  })

  test('becomes certain after five seconds of silence, wherever else there is', () => {
    const rig = createRequestRig({ stall: { ...flatStall, gapMs: 60_000 } }, 1)
    rig.state.signs = silent
    phases['flowing']?.(rig)
    rig.pass(4_500)
    expect(firstCodeOf(rig)).toBeUndefined()
    rig.pass(1_000)
    expect(firstCodeOf(rig)).toBe('QM_WORKER_LOST')
  })

  test('is not made certain by a clock that jumps', () => {
    const rig = createRequestRig({ stall: { ...flatStall, gapMs: 60_000 } }, 1)
    rig.state.signs = silent
    phases['flowing']?.(rig)
    rig.pass(1_000)
    for (const jumpedMs of [3_600_000, 0]) {
      rig.state.jumpedMs = jumpedMs
      rig.pass(1_000)
    }
    expect(firstCodeOf(rig)).toBeUndefined()
    rig.pass(3_000)
    expect(firstCodeOf(rig)).toBe('QM_WORKER_LOST')
  })

  test('does not come while the worker answers pings, however slow its tokens are', () => {
    const rig = createRequestRig()
    let heardAtMs = 0
    let pings = 0
    rig.state.signs = {
      get heardAtMs() {
        return heardAtMs
      },
      silenceMsMax: 150,
      ping: () => {
        pings++
        heardAtMs = rig.clock.now()
      },
      sample: () => {},
    }
    phases['flowing']?.(rig)
    rig.pass(1_700)
    expect(rig.attempts).toHaveLength(1)
    expect(pings).toBeGreaterThan(10)
  })
})

test('a long prompt is given longer to its first token', () => {
  const rig = createRequestRig({ stall: defaultStallPolicy, deadlineMs: null })
  queued(rig, 0, 0, 1_000)
  rig.pass(79_950)
  expect(rig.attempts).toHaveLength(1)
  rig.pass(100)
  expect(rig.attempts).toHaveLength(2)
})

test('attempts are bounded, and every reason is told', () => {
  const rig = createRequestRig({}, 9)
  const codes = ['QM_QUEUE_FULL', 'QM_DRAINING', 'QM_OVERLOADED'] as const
  codes.forEach((code, attempt) =>
    rig.attempts[attempt]?.send({
      type: 'attempt.failed',
      attempt,
      code,
      tokens: 0,
      retryAfterMs: 900 - attempt,
    }),
  )
  const { output } = rig.actor.getSnapshot()
  expect(rig.attempts).toHaveLength(3)
  expect(output?.failure).toMatchObject({ code: 'QM_ATTEMPTS_EXHAUSTED', retryAfterMs: 898 })
  for (const code of codes) expect(output?.failure?.message).toContain(code)
})

test('a failure that leaves nobody else leads back to a worker that was lost, once it is there again', () => {
  const rig = createRequestRig()
  rig.attempts[0]?.send({ type: 'attempt.failed', attempt: 0, code: 'QM_WORKER_LOST', tokens: 0 })
  rig.attempts[1]?.send({ type: 'attempt.failed', attempt: 1, code: 'QM_WORKER_STALLED', tokens: 0 })
  expect(rig.attempts.map(({ input }) => input.choice?.workerId)).toEqual([0, 1, 0].map(toWorkerId))
  // Who stalled or refused is not asked again.
  rig.attempts[2]?.send({ type: 'attempt.failed', attempt: 2, code: 'QM_QUEUE_FULL', tokens: 0 })
  expect(codeOf(rig)).toBe('QM_ATTEMPTS_EXHAUSTED')
})

test('a worker that lost its model is waited for, as others are that were lost', () => {
  const rig = createRequestRig({}, 1)
  rig.attempts[0]?.send({ type: 'attempt.failed', attempt: 0, code: 'QM_MODEL_UNKNOWN', tokens: 0 })
  expect(codeOf(rig)).toBeUndefined()
  rig.pass(250)
  expect(rig.attempts).toHaveLength(2)
})

test('one worker alone cannot end a request with a verdict; two who agree can', () => {
  const rig = createRequestRig({}, 3)
  rig.attempts[0]?.send({ type: 'attempt.failed', attempt: 0, code: 'QM_CONTEXT_EXCEEDED', tokens: 0 })
  expect(rig.attempts).toHaveLength(2)
  rig.attempts[1]?.send({ type: 'attempt.failed', attempt: 1, code: 'QM_CONTEXT_EXCEEDED', tokens: 0 })
  expect(codeOf(rig)).toBe('QM_CONTEXT_EXCEEDED')
})

test('two small contexts do not end a request while a larger one is left', () => {
  for (const largest of [4_096, 2_048]) {
    const contexts = [2_048, 1_024, largest]
    const asked: number[] = []
    const rig = createRequestRig({
      // The larger one is busy at first: the small ones are asked before it.
      choose: (exclude, smallContext) => {
        asked.push(smallContext)
        const index = contexts.findIndex((_, at) => !exclude.has(toWorkerId(at)))
        const contextTokens = contexts[index]
        return contextTokens === undefined
          ? null
          : { workerId: toWorkerId(index), model: { ...model, contextTokens } }
      },
      hasElsewhere: (exclude, smallContext) =>
        contexts.some((tokens, at) => tokens > smallContext && !exclude.has(toWorkerId(at))),
    })
    for (const attempt of [0, 1]) {
      rig.attempts[attempt]?.send({ type: 'attempt.failed', attempt, code: 'QM_CONTEXT_EXCEEDED', tokens: 0 })
    }
    const isLarger = largest > 2_048
    expect(rig.attempts).toHaveLength(isLarger ? 3 : 2)
    expect(asked).toEqual(isLarger ? [0, 2_048, 2_048] : [0, 2_048])
    expect(codeOf(rig)).toBe(isLarger ? undefined : 'QM_CONTEXT_EXCEEDED')
    rig.attempts[2]?.send({ type: 'attempt.failed', attempt: 2, code: 'QM_CONTEXT_EXCEEDED', tokens: 0 })
    expect(codeOf(rig)).toBe('QM_CONTEXT_EXCEEDED')
  }
})
