import { QMeshError } from '../../protocol/index.ts'
import { type Earning, type EarningsPort, noEarnings } from './earnings.port.ts'

/**
 * Keeps the books' defects away from the answers: whoever asked gets tokens even if nobody can write down what they
 * were worth. A defect is told once; what it struck earns nothing.
 */
export class GuardedEarnings implements EarningsPort {
  readonly #earnings: EarningsPort
  readonly #onDefect: (error: unknown) => void
  #isTold = false

  /** @param onDefect hears of the first defect; those after it are most likely the same */
  constructor(earnings: EarningsPort = noEarnings, onDefect: (error: unknown) => void = () => {}) {
    this.#earnings = earnings
    this.#onDefect = onDefect
  }

  /** @throws QMeshError for what is wrong with the offer, and nothing else */
  begin(...[clientId, prompt]: Parameters<EarningsPort['begin']>): Earning | undefined {
    try {
      const earning = this.#earnings.begin(clientId, prompt)
      return earning && this.#guard(earning)
    } catch (error) {
      if (error instanceof QMeshError && error.code !== 'QM_INTERNAL') throw error
      this.#tell(error)
      return undefined
    }
  }

  acked(...[clientId, requestId, evidence]: Parameters<EarningsPort['acked']>): 'ok' | 'late' | 'violation' {
    try {
      return this.#earnings.acked(clientId, requestId, evidence)
    } catch (error) {
      this.#tell(error)
      // The fault is here, and not the client's.
      return 'ok'
    }
  }

  #guard(earning: Earning): Earning {
    let isBroken = false
    const run = <Value>(step: () => Value): Value | undefined => {
      if (isBroken) return undefined
      try {
        return step()
      } catch (error) {
        isBroken = true
        this.#tell(error)
        this.#giveUp(earning)
        return undefined
      }
    }
    return {
      isGratis: earning.isGratis,
      sent: (tokens) => run(() => earning.sent(tokens)),
      finished: (result) => run(() => earning.finished(result)),
      ended: (isOwnFault, promptTokens) => run(() => earning.ended(isOwnFault, promptTokens)),
    }
  }

  /** Without all of the tokens nothing true can be signed: the worker asks for no more than the client signs for. */
  #giveUp(earning: Earning): void {
    try {
      earning.ended(true, 0)
    } catch {
      // It was told of already.
    }
  }

  #tell(error: unknown): void {
    if (!this.#isTold) this.#onDefect(error)
    this.#isTold = true
  }
}
