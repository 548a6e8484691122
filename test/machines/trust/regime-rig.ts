import { createActor } from 'xstate'
import { ONE } from '../../../machines/trust/fixed.ts'
import { noAlarms, type Regime } from '../../../machines/trust/regime.ts'
import { regimeMachine, type RegimeEmitted } from '../../../machines/trust/regime.machine.ts'
import { createRandom } from '../../../machines/selection/random.ts'
import { createNormal } from './attack.ts'

export function createRegimeRig() {
  const actor = createActor(regimeMachine)
  const changes: RegimeEmitted[] = []
  actor.on('regime.changed', (change) => changes.push(change))
  actor.start()
  const regime = (): Regime => actor.getSnapshot().value
  return {
    actor,
    changes,
    regime,
    /** Lets rounds pass in which the worst alarm is at this share of ONE. */
    rounds: (count: number, share: number): Regime => {
      for (let round = 0; round < count; round++)
        actor.send({ type: 'round.finished', alarms: { ...noAlarms, audits: Math.floor(share * ONE) } })
      return regime()
    },
    votes: (storm: number, total = ONE): Regime => {
      actor.send({ type: 'votes.counted', storm, total })
      return regime()
    },
  }
}

/** The alarm of a network in which nothing is wrong but everything varies: 0.08 and half a normal distribution. */
export function createNoise(deviation: number, seed: number): () => number {
  const normal = createNormal(createRandom(seed))
  return () => Math.min(1, 0.08 + deviation * Math.abs(normal()))
}

/** The same thresholds without counting and without a time that a regime is kept. What hysteresis has to beat. */
export function createJumpy() {
  const worst = [0, 0, 0]
  const entropies = [0, 0, 0]
  let regime: Regime = 'calm'
  return (share: number): Regime => {
    worst.unshift(share)
    const entropy = ((worst[0] ?? 0) + (worst[1] ?? 0) + (worst[2] ?? 0)) / 3
    entropies.unshift(entropy)
    const derivative = (entropy - (entropies[2] ?? 0)) / 2
    if (regime === 'calm' && (derivative > 0.15 || entropy > 0.45)) regime = 'preStorm'
    else if (regime === 'preStorm' && entropy > 0.45) regime = 'storm'
    else if (regime === 'preStorm' && derivative <= 0 && entropy < 0.3) regime = 'calm'
    else if (regime === 'storm' && entropy < 0.3) regime = 'calm'
    return regime
  }
}
