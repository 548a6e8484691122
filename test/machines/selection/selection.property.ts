// What has to hold depends on what was chosen.
/* oxlint-disable vitest/no-conditional-expect */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  errorCatalogue,
  healthStates,
  limits,
  protocolVersion,
  type ErrorCode,
} from '../../../protocol/index.ts'
import type { Candidate } from '../../../machines/selection/candidate.ts'
import { explain } from '../../../machines/selection/explain.ts'
import { replay, select, type SelectionQuery } from '../../../machines/selection/select.ts'
import { unknownSpeed } from '../../../machines/selection/speed.ts'
import { freshStanding, standingTerms } from '../../../machines/selection/standing.ts'
import { WorkerDirectory } from '../../../machines/selection/worker-directory.ts'
import { llama, nano, toStatus, toWorkerId } from './support.ts'

const nowMs = 1_000_000

const candidate = fc
  .record({
    models: fc.constantFrom([llama], [nano], [nano, llama], []),
    protocol: fc.constantFrom(protocolVersion, protocolVersion, protocolVersion, 1),
    load: fc.record({
      healthScore: fc.integer({ min: 0, max: 100 }),
      state: fc.constantFrom(...healthStates),
      accepting: fc.constantFrom(true, true, true, false),
      queueLength: fc.constantFrom(0, 0, 1, 3, 9),
      queueCapacity: fc.integer({ min: 0, max: 20 }),
      slotsBusy: fc.nat(4),
      slots: fc.nat(4),
    }),
    inFlight: fc.nat(8),
    failures: fc.nat(4),
    openUntilMs: fc.constantFrom(0, 0, nowMs + 1),
    answers: fc.nat(8),
    responsiveness: fc.double({ min: 0, max: 1, noNaN: true }),
    performance: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ models, protocol, load, inFlight, failures, openUntilMs, answers, ...terms }) => ({
    local: false,
    models,
    protocol,
    load,
    inFlight,
    unreported: inFlight >> 1,
    standing: {
      ...freshStanding,
      isOpen: openUntilMs > 0,
      openUntilMs,
      failureLoad: failures,
      failureAtMs: nowMs - 10_000,
    },
    speed: { ...unknownSpeed(), answers, ...terms },
  }))

const candidates = fc
  .array(candidate, { maxLength: 25 })
  .map((all): Candidate[] => all.map((one, name) => ({ workerId: toWorkerId(name), ...one })))

const query: fc.Arbitrary<SelectionQuery> = fc.record({
  modelId: fc.constantFrom(undefined, 'llama', 'nano'),
  modelHash: fc.constantFrom(undefined, undefined, llama.hash),
  contextTokens: fc.constantFrom(undefined, 100, 4_096, 5_000),
  exclude: fc.uniqueArray(fc.nat(24).map(toWorkerId), { maxLength: 12 }),
  affinityWorkerId: fc.option(fc.nat(24).map(toWorkerId), { nil: undefined }),
})

describe('selection', () => {
  it('chooses somebody fit whenever there is one, of the first group that is not empty and within the band', () => {
    fc.assert(
      fc.property(candidates, query, fc.integer(), (all, asked, seed) => {
        const { trace, workerId } = select(all, asked, seed, nowMs)
        const { reasons } = explain(trace)
        expect(reasons).toHaveLength(all.length)
        const fit = reasons.flatMap((row) => ('rejected' in row ? [] : [row]))
        if (fit.length === 0) {
          expect(workerId).toBeNull()
          return
        }
        const chosen = fit.find((row) => row.standing === 'chosen')
        expect(chosen?.workerId).toBe(workerId)
        if (chosen === undefined) return
        // Without a name, the built-in model is only for when there is nothing else.
        const rivals =
          asked.modelId === undefined && fit.some((row) => row.modelId !== 'nano')
            ? fit.filter((row) => row.modelId !== 'nano')
            : fit
        expect(rivals).toContain(chosen)
        // Tier 1: an empty queue beats everything else; among these, a free slot.
        const free = rivals.filter((row) => row.group === 'slot-free')
        const empty = rivals.filter((row) => row.terms.queued === 0)
        const group = free.length > 0 ? free : empty.length > 0 ? empty : rivals
        expect(group).toContain(chosen)
        const best = Math.max(...group.map(({ score }) => score))
        if (trace.manner !== 'trial') expect(chosen.score).toBeGreaterThanOrEqual(best * 0.95)
        for (const { score, terms } of group) {
          expect(score).toBeCloseTo(
            terms.queued === 0
              ? 0.7 * terms.health + 0.3 * terms.responsiveness
              : 0.6 * terms.queueAvailability + 0.3 * terms.health + 0.1 * terms.performance,
          )
        }
      }),
    )
  })

  it('never chooses an excluded, unfit, overloaded, closed or barred worker', () => {
    fc.assert(
      fc.property(candidates, query, fc.integer(), (all, asked, seed) => {
        const selection = select(all, asked, seed, nowMs)
        if (selection.workerId === null) return
        const one = all.find(({ workerId }) => workerId === selection.workerId)
        expect(asked.exclude).not.toContain(selection.workerId)
        expect(one?.models).toContain(selection.model)
        expect(selection.model.contextTokens).toBeGreaterThanOrEqual(asked.contextTokens ?? 0)
        expect(selection.model.hash).toBe(asked.modelHash ?? selection.model.hash)
        expect(selection.model.id).toBe(asked.modelId ?? selection.model.id)
        expect(one).toMatchObject({ protocol: protocolVersion, load: { accepting: true } })
        expect(one?.load.state).not.toBe('overloaded')
        expect(one?.standing.openUntilMs).toBeLessThanOrEqual(nowMs)
      }),
    )
  })

  it('is decided by its arguments alone, and its trace replays to the same, through JSON too', () => {
    fc.assert(
      fc.property(candidates, query, fc.integer(), (all, asked, seed) => {
        const { trace, workerId } = select(all, asked, seed, nowMs)
        expect(select(all, asked, seed, nowMs)).toEqual({ ...select(all, asked, seed, nowMs) })
        expect(replay(trace)).toEqual(select(all, asked, seed, nowMs))
        expect(replay(JSON.parse(JSON.stringify(trace)) as typeof trace)).toMatchObject({ workerId })
      }),
    )
  })
})

/** How a worker lets every request down: with which code, and after how long. */
const letdown = fc.record({
  code: fc.constantFrom<ErrorCode>(
    ...(['QM_INFERENCE_FAILED', 'QM_ENGINE_CRASHED', 'QM_WORKER_LOST', 'QM_WORKER_STALLED'] as const),
    ...(['QM_QUEUE_FULL', 'QM_OVERLOADED', 'QM_MODEL_UNKNOWN', 'QM_INTERNAL', 'QM_RATE_LIMITED'] as const),
    ...(['QM_CONTEXT_EXCEEDED', 'QM_DEADLINE_PASSED', 'QM_JSON_SCHEMA_INVALID'] as const),
  ),
  afterMs: fc.constantFrom(0, 1, 50, 400, 15_000, 60_000),
  retryAfterMs: fc.constantFrom(0, 10, 1e9),
  firstToken: fc.boolean(),
  /** It leaves and comes back every so often, or never. */
  reconnectsMs: fc.constantFrom(Infinity, 1_000, 20_000),
})

describe('a worker that fails every request', () => {
  it('gets at most a bounded number of them in any window, whatever it claims and the others do', () => {
    const windowMs = 600_000
    // What is under way before the first failure is known, plus what is let through one by one after that.
    // A number, not the policy's own constant: a breaker that opens later has to fail here.
    const first = 67
    const probes = Math.ceil(Math.log2(standingTerms.openMs.max / standingTerms.openMs.first)) + 2
    const pauses = Math.ceil(Math.log2(standingTerms.pauseMs.max / standingTerms.pauseMs.first)) + 1
    const perRefusal = limits.requestsPerPeerMax
    const failureBound = first + probes + windowMs / standingTerms.openMs.max
    const verdictBound = first + (windowMs / standingTerms.verdictPauseMs + 1) * perRefusal
    const refusalBound = first + (pauses + windowMs / standingTerms.pauseMs.max) * perRefusal
    fc.assert(
      fc.property(
        letdown,
        fc.constantFrom('none', 'busy', 'idle'),
        fc.integer({ min: 20, max: 500 }),
        fc.integer(),
        ({ code, afterMs, retryAfterMs, firstToken, reconnectsMs }, others, everyMs, seed) => {
          const directory = new WorkerDirectory()
          const bad = toWorkerId(0)
          const good = toWorkerId(1)
          const connect = (atMs: number): void => {
            directory.hello(bad, { models: [llama], protocol: protocolVersion, local: false }, atMs)
            directory.status(bad, toStatus({ slots: 1_000, queueCapacity: 1_000 }), atMs)
          }
          connect(0)
          if (others !== 'none') {
            directory.hello(good, { models: [llama], protocol: protocolVersion, local: false }, 0)
            const queueLength = others === 'busy' ? 15 : 0
            directory.status(good, toStatus({ slotsBusy: 2, queueLength, healthScore: 60 }), 0)
          }
          const failing: number[] = []
          const sent: number[] = []
          let connectedMs = 0
          for (let atMs = 0; atMs < windowMs; atMs += everyMs) {
            while ((failing[0] ?? Infinity) <= atMs) {
              failing.shift()
              if (firstToken) directory.firstToken(bad, { promptTokens: 10, ms: 1 }, atMs)
              directory.failed(bad, code, atMs, retryAfterMs)
            }
            if (atMs - connectedMs >= reconnectsMs) {
              directory.remove(bad, atMs)
              connect(atMs)
              connectedMs = atMs
            }
            directory.status(bad, toStatus({ slots: 1_000, queueCapacity: 1_000 }), atMs)
            const { workerId } = directory.choose({ modelId: 'llama', exclude: new Set() }, seed + atMs, atMs)
            if (workerId === null) continue
            directory.started(workerId, atMs)
            if (workerId === good) {
              directory.finished(good, { tokens: 20, ms: 400 }, atMs)
            } else {
              sent.push(atMs)
              failing.push(atMs + afterMs)
            }
          }
          const isRefusal = [
            'QM_QUEUE_FULL',
            'QM_OVERLOADED',
            'QM_MODEL_UNKNOWN',
            'QM_INTERNAL',
            'QM_RATE_LIMITED',
          ]
          const isVerdict = errorCatalogue[code].blame === 'client' && code !== 'QM_MODEL_UNKNOWN'
          const bound = isRefusal.includes(code) ? refusalBound : failureBound
          expect(sent.length).toBeLessThanOrEqual(isVerdict ? verdictBound : bound)
          // With somebody else to turn to, it holds no more at a time than an unproven worker is trusted with.
          const trusted = standingTerms.allowance.first + 1
          const refusals = pauses + windowMs / standingTerms.pauseMs.max
          const verdicts = standingTerms.verdictsMax + windowMs / standingTerms.verdictPauseMs
          const turns = isVerdict ? verdicts : isRefusal.includes(code) ? refusals : probes
          if (others === 'idle') expect(sent.length).toBeLessThanOrEqual(trusted * turns)
        },
      ),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 40) },
    )
  })

  it('keeps what it holds of a silent one within the limit, for ever', () => {
    const directory = new WorkerDirectory()
    const silent = toWorkerId(0)
    directory.hello(silent, { models: [llama], protocol: protocolVersion, local: false }, 0)
    let sent = 0
    for (let atMs = 0; atMs < 3_600_000; atMs += 1_000) {
      directory.status(silent, toStatus({ slots: 1_000 }), atMs)
      if (directory.choose({ exclude: new Set() }, atMs, atMs).workerId === null) continue
      directory.started(silent, atMs)
      sent++
    }
    expect(sent).toBe(limits.requestsPerPeerMax)
  })
})

describe('equal workers', () => {
  it('get their share within a tenth, though the client knows their load only now and then', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.integer(), (count, seed) => {
        const directory = new WorkerDirectory()
        const served = new Map<string, number>()
        for (let name = 0; name < count; name++) {
          directory.hello(toWorkerId(name), { models: [llama], protocol: protocolVersion, local: false }, 0)
          directory.status(toWorkerId(name), toStatus({ slots: 4 }), 0)
        }
        const running: { readonly workerId: string; readonly endMs: number }[] = []
        const perWorker = 1_000
        for (let turn = 0; turn < count * perWorker; turn++) {
          const atMs = turn * 10
          while ((running[0]?.endMs ?? Infinity) <= atMs) {
            const done = running.shift()
            if (done === undefined) break
            directory.firstToken(done.workerId, { promptTokens: 100, ms: 150 }, atMs)
            directory.finished(done.workerId, { tokens: 20, ms: 500 }, atMs)
          }
          if (turn % 100 === 0) {
            for (let name = 0; name < count; name++) {
              const slotsBusy = running.filter(({ workerId }) => workerId === toWorkerId(name)).length
              directory.status(
                toWorkerId(name),
                toStatus({ slots: 4, slotsBusy: Math.min(4, slotsBusy) }),
                atMs,
              )
            }
          }
          const { workerId } = directory.choose({ exclude: new Set() }, seed + turn * 7, atMs)
          if (workerId === null) continue
          served.set(workerId, (served.get(workerId) ?? 0) + 1)
          directory.started(workerId, atMs)
          running.push({ workerId, endMs: atMs + 20 * count })
        }
        for (let name = 0; name < count; name++) {
          const share = served.get(toWorkerId(name)) ?? 0
          expect(Math.abs(share - perWorker) / perWorker).toBeLessThan(0.1)
        }
      }),
      { numRuns: Number(process.env['QMESH_TEST_RUNS'] ?? 10) },
    )
  })
})
