import type { StrategyResult } from '../../../runtime/simulator/ban-watch.ts'
import { createHashNotary } from '../../../runtime/simulator/notary.ts'
import type { NodeStrategy } from '../../../runtime/simulator/options.ts'
import { run, type RunInput, type RunResult } from '../../../runtime/simulator/run.ts'

/** Promises of the state machines settle in a turn of the event loop. */
export const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A run that takes a fraction of a second. */
export const runSmall = (input: Partial<RunInput> = {}): Promise<RunResult> =>
  run({
    nodes: 20,
    seed: 1,
    epochs: 4,
    misbehaving: 0.3,
    strategies: [],
    notary: createHashNotary(),
    pause,
    ...input,
  })

export function resultOf({ strategies }: RunResult, strategy: NodeStrategy): StrategyResult {
  const found = strategies.find((one) => one.strategy === strategy)
  if (!found) throw new Error(`there is no result for ${strategy}`)
  return found
}
