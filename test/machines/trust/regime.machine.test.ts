import { getShortestPaths } from 'xstate/graph'
import { describe, expect, it } from 'vitest'
import { ONE } from '../../../machines/trust/fixed.ts'
import { noAlarms, type Regime } from '../../../machines/trust/regime.ts'
import { type RegimeCommand, regimeMachine } from '../../../machines/trust/regime.machine.ts'
import { createJumpy, createNoise, createRegimeRig } from './regime-rig.ts'

describe('the regime', () => {
  it('reaches every state', () => {
    const commands: RegimeCommand[] = [
      { type: 'round.finished', alarms: noAlarms },
      { type: 'round.finished', alarms: { ...noAlarms, proofs: ONE } },
      { type: 'votes.counted', storm: 1, total: 2 },
    ]
    const paths = getShortestPaths(regimeMachine, {
      events: commands,
      limit: 20_000,
      stopWhen: ({ value, context }) => value === 'storm' || context.rounds > 6,
    })
    expect(new Set(paths.map(({ state }) => state.value))).toEqual(new Set(['calm', 'preStorm', 'storm']))
  })

  it('goes from calm to pre-storm after two rounds of a steep rise', () => {
    const { rounds, changes } = createRegimeRig()
    // Entropies 0.2, 0.4 and 0.4; rises of 0.1, 0.2, 0.1: the level is never high enough.
    expect(rounds(2, 0.6)).toBe('calm')
    expect(rounds(1, 0)).toBe('calm')
    // 0.3, 0.6, 0.9: rises of 0.15, 0.3, 0.3.
    const steep = createRegimeRig()
    expect(steep.rounds(2, 0.91)).toBe('preStorm')
    expect(changes).toEqual([])
    expect(steep.changes).toEqual([
      { type: 'regime.changed', from: 'calm', to: 'preStorm', entropy: expect.any(Number) },
    ])
  })

  it('goes from calm to pre-storm on the level of a ramp too slow for its rise to show', () => {
    const { rounds } = createRegimeRig()
    for (let share = 0; share < 0.47; share += 0.01) expect(rounds(1, share)).toBe('calm')
    expect(rounds(3, 0.47)).toBe('preStorm')
  })

  it('is in a storm after the third round in a row above the level', () => {
    const { rounds, changes } = createRegimeRig()
    expect(rounds(3, 0.65)).toBe('preStorm')
    expect(rounds(2, 0.65)).toBe('preStorm')
    expect(rounds(1, 0.65)).toBe('storm')
    expect(changes.map(({ to }) => to)).toEqual(['preStorm', 'storm'])
  })

  it('starts counting again when a round is below the level', () => {
    const { rounds, regime } = createRegimeRig()
    rounds(5, 0.65)
    rounds(1, 0)
    expect(regime()).toBe('preStorm')
    // The quiet round stays in the mean for three rounds.
    expect(rounds(4, 0.65)).toBe('preStorm')
    expect(rounds(1, 0.65)).toBe('storm')
  })

  it('keeps pre-storm for five rounds at least, then leaves it when it is over', () => {
    const { rounds, votes } = createRegimeRig()
    rounds(3, 0.65)
    expect(rounds(4, 0)).toBe('preStorm')
    expect(rounds(1, 0)).toBe('calm')
    // Above the lower level it stays, however long it takes.
    rounds(3, 0.65)
    expect(rounds(100, 0.31)).toBe('preStorm')
    expect(rounds(3, 0.29)).toBe('calm')
    expect(votes(0)).toBe('calm')
  })

  it('leaves pre-storm also where nothing moves any more', () => {
    const { rounds, votes } = createRegimeRig()
    votes(ONE)
    votes(0)
    expect(rounds(4, 0)).toBe('preStorm')
    expect(rounds(1, 0)).toBe('calm')
  })

  it('keeps a storm for 50 rounds, and leaves it after five quiet ones from then on', () => {
    const { rounds, changes } = createRegimeRig()
    rounds(6, 0.65)
    expect(rounds(53, 0)).toBe('storm')
    expect(rounds(1, 0)).toBe('calm')
    expect(changes.map(({ from, to }) => `${from} ${to}`)).toEqual([
      'calm preStorm',
      'preStorm storm',
      'storm calm',
    ])
    rounds(6, 0.65)
    rounds(100, 0.65)
    // The third quiet round is the first with a mean below the level.
    expect(rounds(5, 0)).toBe('storm')
    expect(rounds(1, 0)).toBe('calm')
  })

  it('never leaves a storm for pre-storm, and a loud round starts the counting again', () => {
    const { rounds } = createRegimeRig()
    rounds(6, 0.65)
    rounds(60, 0.65)
    rounds(5, 0)
    expect(rounds(1, 0.95)).toBe('storm')
    // It stays in the mean for two more rounds; five quiet ones follow.
    expect(rounds(6, 0)).toBe('storm')
    expect(rounds(1, 0)).toBe('calm')
  })
})

describe('votes of witnesses', () => {
  it('of a third lead from calm to pre-storm, and of less do nothing', () => {
    const { votes, changes } = createRegimeRig()
    expect(votes(333, 1_000)).toBe('calm')
    expect(votes(0, 0)).toBe('calm')
    expect(changes).toEqual([])
    expect(votes(334, 1_000)).toBe('preStorm')
    expect(changes).toEqual([{ type: 'regime.changed', from: 'calm', to: 'preStorm', entropy: 0 }])
  })

  it('never lead into a storm, however many', () => {
    const { votes, rounds } = createRegimeRig()
    votes(ONE)
    for (let round = 0; round < 200; round++) {
      rounds(1, 0.29)
      expect(votes(ONE)).toBe('preStorm')
    }
    votes(0)
    expect(rounds(1, 0.29)).toBe('calm')
  })

  it('never keep a storm going', () => {
    const { votes, rounds, changes } = createRegimeRig()
    rounds(6, 0.65)
    votes(ONE)
    rounds(54, 0)
    expect(changes.map(({ to }) => to)).toEqual(['preStorm', 'storm', 'calm', 'preStorm'])
  })
})

/** Published: 200 networks of 2,000 rounds each; here fewer, seeded. */
describe('hysteresis', () => {
  const countStorms = (deviation: number, networks: number, roundsEach: number) => {
    const counts = { jumpy: 0, machine: 0, calmRounds: 0 }
    for (let network = 0; network < networks; network++) {
      const noise = createNoise(deviation, 1_000 + network)
      const rig = createRegimeRig()
      const jumpy = createJumpy()
      let before: Regime = 'calm'
      for (let round = 0; round < roundsEach; round++) {
        const share = noise()
        const now = jumpy(share)
        if (now === 'storm' && before !== 'storm') counts.jumpy++
        before = now
        if (rig.rounds(1, share) === 'calm') counts.calmRounds++
      }
      counts.machine += rig.changes.filter(({ to }) => to === 'storm').length
    }
    const rounds = networks * roundsEach
    return {
      jumpy: (1_000 * counts.jumpy) / rounds,
      machine: (1_000 * counts.machine) / rounds,
      calmShare: counts.calmRounds / rounds,
    }
  }

  it('lets noise of 0.15 cause no storm, where 0.098 in 1,000 rounds were without it', () => {
    const { machine, calmShare } = countStorms(0.15, 20, 2_000)
    expect(machine).toBe(0)
    expect(calmShare).toBeGreaterThan(0.99)
  })

  it('lets noise of 0.20 cause hardly a storm, where 1.59 in 1,000 rounds were without it', () => {
    const { jumpy, machine, calmShare } = countStorms(0.2, 20, 2_000)
    expect(jumpy).toBeGreaterThan(0.8)
    expect(jumpy).toBeLessThan(3.2)
    expect(machine).toBeLessThan(0.01 * jumpy + 0.026)
    expect(calmShare).toBeGreaterThan(0.98)
  })

  it('sees an attack within about six rounds, and is calm again about 54 rounds after it', () => {
    const reached: number[] = []
    const over: number[] = []
    for (let seed = 1; seed <= 50; seed++) {
      const noise = createNoise(0.05, seed)
      const { rounds, regime } = createRegimeRig()
      for (let round = 0; round < 20; round++) rounds(1, noise())
      const until = (wanted: Regime, share: () => number): number => {
        let count = 0
        for (; regime() !== wanted && count < 200; count++) rounds(1, share())
        return count
      }
      reached.push(until('storm', () => noise() - 0.08 + 0.65))
      over.push(until('calm', noise))
    }
    const mean = (values: readonly number[]): number =>
      values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(reached)).toBeGreaterThanOrEqual(5)
    expect(mean(reached)).toBeLessThanOrEqual(6.5)
    expect(mean(over)).toBeGreaterThanOrEqual(54)
    expect(mean(over)).toBeLessThan(56)
  })
})
