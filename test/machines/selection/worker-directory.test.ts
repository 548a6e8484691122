import { beforeEach, describe, expect, it } from 'vitest'
import { protocolVersion } from '../../../protocol/index.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { replay } from '../../../machines/selection/select.ts'
import { llama, minilm, toStatus, toWorkerId } from './support.ts'

const none: ReadonlySet<string> = new Set()
const a = toWorkerId(1)
const b = toWorkerId(2)
const hello = { models: [llama], protocol: protocolVersion, local: false }

describe('worker directory', () => {
  let directory: WorkerDirectory
  beforeEach(() => {
    directory = new WorkerDirectory({ standingsMax: 3, affinitiesMax: 2 })
    directory.hello(a, hello, 0)
    directory.status(a, toStatus(), 0)
  })

  const choose = (nowMs = 0, seed = 1) => directory.choose({ modelId: 'llama', exclude: none }, seed, nowMs)
  const failThrice = (workerId: string, nowMs: number): void => {
    for (let time = 0; time < 3; time++) {
      directory.started(workerId, nowMs)
      directory.failed(workerId, 'QM_ENGINE_CRASHED', nowMs)
    }
  }

  it('knows a worker from hello on, before its first status', () => {
    directory.hello(b, hello, 0)
    expect(directory.list(0).map(({ workerId }) => workerId)).toEqual([a, b])
    expect(directory.choose({ exclude: new Set([a]) }, 1, 0)).toMatchObject({ workerId: b, model: llama })
  })

  it('knows when all who hold a model hold one of another kind', () => {
    directory.hello(b, { ...hello, models: [minilm] }, 0)
    expect(directory.misfit({ modelId: 'minilm' })).toEqual(minilm)
    expect(directory.misfit({ modelHash: minilm.hash })).toEqual(minilm)
    expect(directory.misfit({ modelId: 'minilm', embedding: 768 })).toEqual(minilm)
    expect(directory.misfit({ modelId: 'minilm', embedding: 'any' })).toBeUndefined()
    expect(directory.misfit({ modelId: 'minilm', embedding: 384 })).toBeUndefined()
    expect(directory.misfit({ modelId: 'llama', embedding: 'any' })).toEqual(llama)
    // Nobody holds it, or nobody was meant.
    expect(directory.misfit({ modelId: 'other' })).toBeUndefined()
    expect(directory.misfit({ embedding: 'any' })).toBeUndefined()
    expect(directory.misfit({})).toBeUndefined()
    // Under one name there may be both.
    directory.hello(toWorkerId(3), { ...hello, models: [{ ...llama, embeddingSize: 8 }] }, 0)
    expect(directory.misfit({ modelId: 'llama', embedding: 'any' })).toBeUndefined()
    expect(directory.misfit({ modelId: 'llama' })).toBeUndefined()
  })

  it('ignores a status of somebody unknown, and forgets who left', () => {
    directory.status(b, toStatus(), 0)
    directory.remove(a, 0)
    directory.remove(a, 0)
    expect(directory.size).toBe(0)
    expect(choose()).toMatchObject({ workerId: null, retryAfterMs: undefined })
  })

  it('keeps finding the right worker while others come and go', () => {
    for (let name = 2; name < 9; name++) directory.hello(toWorkerId(name), hello, 0)
    for (const name of [1, 8, 4]) directory.remove(toWorkerId(name), 0)
    directory.status(toWorkerId(7), toStatus({ healthScore: 77 }), 0)
    const listed = new Map(directory.list(0).map((view) => [view.workerId, view.healthScore]))
    expect([...listed.keys()].toSorted()).toEqual([2, 3, 5, 6, 7].map(toWorkerId))
    expect(listed.get(toWorkerId(7))).toBe(77)
  })

  it('gives nothing to one that is draining, and asks it again when it serves again', () => {
    directory.status(a, { ...toStatus({ accepting: false }), draining: true }, 0)
    expect(choose().workerId).toBeNull()
    expect(directory.list(0)[0]?.barred).toBe('not-accepting')
    directory.status(a, toStatus(), 0)
    expect(choose().workerId).toBe(a)
  })

  it('remembers the standing of one who comes back, and news that comes after it left', () => {
    failThrice(a, 0)
    directory.remove(a, 0)
    directory.hello(a, hello, 10)
    expect(choose(10)).toMatchObject({ workerId: null, retryAfterMs: 4_990 })

    directory.hello(b, hello, 0)
    directory.remove(b, 0)
    for (let time = 0; time < 3; time++) directory.failed(b, 'QM_WORKER_LOST', 0)
    directory.hello(b, hello, 0)
    expect(directory.list(0).find(({ workerId }) => workerId === b)?.barred).toBe('breaker-open')
  })

  it('remembers no more than it may of those who left', () => {
    failThrice(a, 0)
    directory.remove(a, 0)
    for (let name = 10; name < 13; name++) {
      directory.hello(toWorkerId(name), hello, 0)
      directory.remove(toWorkerId(name), 0)
    }
    directory.hello(a, hello, 0)
    expect(directory.list(0)[0]?.barred).toBeUndefined()
  })

  it('counts its own requests until a status can have', () => {
    directory.hello(b, hello, 0)
    directory.status(b, toStatus({ healthScore: 60 }), 0)
    for (let time = 0; time < 2; time++) directory.started(a, 0)
    // Both slots of the better one are taken by us, though it has not said so yet.
    expect(choose().workerId).toBe(b)
    const load = (): number | undefined => choose().trace.candidates[0]?.unreported
    directory.status(a, toStatus({ slotsBusy: 1 }), 0)
    expect(load()).toBe(1)
    directory.status(a, toStatus({ slotsBusy: 2 }), 0)
    expect(load()).toBe(0)
    // Nor does an idle face hide what we know to be there.
    directory.status(a, toStatus(), 0)
    expect(load()).toBe(2)
    expect(choose().workerId).toBe(b)
    for (let time = 0; time < 2; time++) directory.cancelled(a)
    expect(choose().workerId).toBe(a)
  })

  it('tries again, one request in ten, a worker that looked slow and was not asked for long', () => {
    directory.hello(b, hello, 0)
    directory.status(b, toStatus(), 0)
    for (const [workerId, ms] of [
      [a, 100],
      [b, 5_000],
    ] as const) {
      for (let answer = 0; answer < 5; answer++) {
        directory.started(workerId, 0)
        directory.firstToken(workerId, { promptTokens: 256, ms }, 0)
        directory.finished(workerId, { tokens: 20, ms: 1_000 }, 0)
      }
    }
    const trials = (nowMs: number): number =>
      Array.from({ length: 1_000 }, (_, seed) => choose(nowMs, seed)).filter(
        ({ workerId, trace }) => workerId === b && trace.manner === 'trial',
      ).length
    expect(trials(0)).toBe(0)
    directory.started(a, 100_000)
    expect(trials(100_000)).toBeGreaterThan(50)
    expect(trials(100_000)).toBeLessThan(150)
    // Not one whose own health would keep it out, however fast it were; and not two at a time.
    directory.status(b, toStatus({ healthScore: 40 }), 100_000)
    expect(trials(100_000)).toBe(0)
    directory.status(b, toStatus(), 100_000)
    directory.started(b, 100_000)
    expect(trials(100_000)).toBe(0)
  })

  it('gives each its turn where all else is equal, through leaving and coming back', () => {
    directory.hello(b, hello, 0)
    directory.status(b, toStatus(), 0)
    const ask = (seed: number): string => {
      const { workerId } = choose(seed, seed)
      if (workerId === null) throw new Error('somebody is free')
      directory.started(workerId, seed)
      directory.firstToken(workerId, { promptTokens: 256, ms: 300 }, seed)
      directory.finished(workerId, { tokens: 20, ms: 1_000 }, seed)
      return workerId
    }
    let first = 0
    for (let seed = 0; seed < 400; seed++) {
      if (ask(seed) === a) first++
      if (seed % 50 !== 0) continue
      directory.remove(a, seed)
      directory.hello(a, hello, seed)
      directory.status(a, toStatus(), seed)
    }
    expect(Math.abs(first - 200)).toBeLessThan(10)
  })

  it('holds verdicts against a worker that blames its client for what others answer', () => {
    directory.hello(b, hello, 0)
    directory.status(b, toStatus(), 0)
    const blame = (workerId: string, nowMs: number): void => {
      directory.started(workerId, nowMs)
      directory.failed(workerId, 'QM_CONTEXT_EXCEEDED', nowMs)
    }
    const pauseMs = (nowMs: number): number =>
      (choose(nowMs).trace.candidates[0]?.standing.pausedUntilMs ?? 0) - nowMs
    for (let verdict = 0; verdict < 4; verdict++) blame(a, 0)
    expect(pauseMs(0)).toBe(2_000)
    directory.started(b, 0)
    directory.finished(b, { tokens: 20, ms: 1_000 }, 0)
    for (const [nowMs, expectedMs] of [
      [2_000, 500],
      [3_000, 1_000],
      [5_000, 2_000],
    ] as const) {
      blame(a, nowMs)
      expect(pauseMs(nowMs)).toBe(expectedMs)
    }
    directory.started(a, 60_000)
    expect(directory.list(60_000)[0]?.barred).toBe('refused-lately')
    directory.finished(a, { tokens: 20, ms: 1_000 }, 60_000)
    // Where the other agrees, it is the client.
    for (let verdict = 0; verdict < 3; verdict++) {
      blame(a, 60_000)
      blame(b, 60_000)
    }
    blame(a, 60_000)
    expect(pauseMs(60_000)).toBe(2_000)
  })

  it('sends one probe at a time', () => {
    failThrice(a, 0)
    expect(choose(4_999).workerId).toBeNull()
    expect(choose(5_000).workerId).toBe(a)
    directory.started(a, 5_000)
    expect(choose(5_001).workerId).toBeNull()
    directory.finished(a, { tokens: 10, ms: 100 }, 5_002)
    expect(choose(5_002).trace.candidates[0]?.standing.isOpen).toBe(false)
  })

  it('never holds cancelled requests, or a few badly asked ones, against the worker', () => {
    for (let time = 0; time < 3; time++) {
      for (let again = 0; again < 9; again++) {
        directory.started(a, time)
        directory.cancelled(a)
      }
      directory.started(a, time)
      directory.failed(a, 'QM_CONTEXT_EXCEEDED', time)
    }
    expect(directory.list(0)[0]).toMatchObject({ barred: undefined, failuresInRow: 0, inFlight: 0 })
  })

  it('brings a conversation back to its worker, and forgets the oldest conversation', () => {
    directory.hello(b, hello, 0)
    directory.status(b, toStatus(), 0)
    const ask = (affinityKey: string, seed: number) =>
      directory.choose({ modelId: 'llama', exclude: none, affinityKey }, seed, 0)
    const first = ask('talk', 1).workerId
    for (let seed = 2; seed < 30; seed++) expect(ask('talk', seed)).toMatchObject({ workerId: first })
    ask('second', 1)
    ask('third', 1)
    expect(ask('talk', 1).trace.query.affinityWorkerId).toBeUndefined()
  })

  it('leaves a trace that later changes do not touch and JSON does not break', () => {
    directory.hello(b, hello, 0)
    const { trace, workerId } = choose(0, 99)
    const text = JSON.stringify(trace)
    directory.status(a, toStatus({ healthScore: 1, state: 'overloaded' }), 5)
    directory.remove(b, 5)
    expect(JSON.stringify(trace)).toBe(text)
    expect(replay(trace).workerId).toBe(workerId)
    expect(replay(JSON.parse(text) as typeof trace).workerId).toBe(workerId)
  })

  it('does not let a worker shed what it has open by reconnecting', () => {
    for (let time = 0; time < 3; time++) directory.started(a, 0)
    directory.remove(a, 1)
    directory.failed(a, 'QM_DRAINING', 2)
    directory.hello(a, hello, 3)
    expect(directory.list(3)[0]?.inFlight).toBe(2)
  })

  it('takes leaving in the middle of a probe for a failed probe', () => {
    failThrice(a, 0)
    directory.started(a, 5_000)
    directory.remove(a, 5_100)
    directory.failed(a, 'QM_WORKER_LOST', 5_100)
    directory.hello(a, hello, 5_200)
    expect(choose(15_099).workerId).toBeNull()
    expect(choose(15_100).workerId).toBe(a)
  })

  it('shows measured speed', () => {
    directory.started(a, 0)
    directory.firstToken(a, { promptTokens: 256, ms: 200 }, 0)
    directory.finished(a, { tokens: 21, ms: 1_000 }, 0)
    expect(directory.list(0)[0]).toMatchObject({ answers: 1, firstTokenMs: 200, tokensPerSecond: 20 })
  })
})
