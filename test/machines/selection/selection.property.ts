// What has to hold depends on what was chosen.
/* oxlint-disable vitest/no-conditional-expect */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { healthStates, protocolVersion } from '../../../protocol/index.ts'
import type { Candidate } from '../../../machines/selection/candidate.ts'
import { explain } from '../../../machines/selection/explain.ts'
import { replay, select, type SelectionQuery } from '../../../machines/selection/select.ts'
import { unknownSpeed } from '../../../machines/selection/speed.ts'
import { freshStanding } from '../../../machines/selection/standing.ts'
import { affinityExcess, diceMax } from './bounds.ts'
import { llama, nano, toCandidate, toWorkerId } from './support.ts'

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
    turns: fc.nat(9),
    responsiveness: fc.double({ min: 0, max: 1, noNaN: true }),
    performance: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ models, protocol, load, inFlight, failures, openUntilMs, answers, turns, ...terms }) => ({
    local: false,
    models,
    protocol,
    load,
    inFlight,
    unreported: inFlight >> 1,
    turns: { count: turns, atMs: nowMs - 5_000 },
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
  .array(candidate, { maxLength: 25, size: 'max' })
  .map((all): Candidate[] => all.map((one, name) => ({ workerId: toWorkerId(name), ...one })))

const query: fc.Arbitrary<SelectionQuery> = fc.record({
  modelId: fc.constantFrom(undefined, 'llama', 'nano'),
  modelHash: fc.constantFrom(undefined, undefined, llama.hash),
  contextTokens: fc.constantFrom(undefined, 100, 4_096, 5_000),
  exclude: fc.uniqueArray(fc.nat(24).map(toWorkerId), { maxLength: 12, size: 'max' }),
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
        const empty = rivals.filter((row) => row.terms.queued === 0)
        const free = empty.filter((row) => {
          const one = all.find(({ workerId: name }) => name === row.workerId)
          return one !== undefined && one.load.slots > one.load.slotsBusy + one.unreported
        })
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

  it('keeps a conversation only where it stays within 1.25 of the mean of the band, by all that is known', () => {
    fc.assert(
      fc.property(candidates, query, fc.integer(), (all, asked, seed) => {
        const { trace, workerId } = select(all, asked, seed, nowMs)
        if (trace.manner !== 'affinity') return
        expect(workerId).toBe(asked.affinityWorkerId)
        expect(affinityExcess(trace)).toBeLessThanOrEqual(0)
      }),
    )
  })

  const clients = 400
  it('spreads clients that see the same over equal workers as evenly as dice would, or more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 0, max: 2 ** 31 }), (count, seed) => {
        const equal = Array.from({ length: count }, (_, name) => toCandidate(name))
        const counts = new Map<string, number>()
        for (let client = 0; client < clients; client++) {
          const { workerId } = select(equal, { exclude: [] }, seed + client, 0)
          if (workerId !== null) counts.set(workerId, (counts.get(workerId) ?? 0) + 1)
        }
        // Herding would give one of them all four hundred.
        expect(Math.max(...counts.values())).toBeLessThanOrEqual(diceMax(clients, count))
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
