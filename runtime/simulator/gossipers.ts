import { createActor, fromCallback, fromPromise } from 'xstate'
import { type GossiperOrder, gossiperMachine } from '../../machines/trust/gossiper.machine.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** What the machines have nodes do. */
export interface GossiperDeeds {
  round(node: number): void
  announce(node: number): void
}

type GossiperActor = ReturnType<typeof toActor>

/** The product's gossiper machine for each node: when it holds a round, and when it tells its own head. */
export class Gossipers {
  readonly #clock: VirtualClock
  readonly #actors: readonly GossiperActor[]

  /** @param startsAtMs when each node begins to gossip: nodes do not hold their rounds in step */
  constructor(clock: VirtualClock, startsAtMs: readonly number[], deeds: GossiperDeeds) {
    this.#clock = clock
    const nodeOf = new WeakMap<object, number>()
    const done = fromPromise<void>(() => Promise.resolve())
    const machine = gossiperMachine.provide({
      actors: {
        open: done,
        settle: done,
        close: done,
        gossip: fromCallback<GossiperOrder>(({ receive, system }) => {
          const node = nodeOf.get(system) ?? -1
          receive((order) => {
            if (order.type === 'gossip.round') deeds.round(node)
            if (order.type === 'gossip.announce') deeds.announce(node)
          })
        }),
      },
    })
    this.#actors = startsAtMs.map((checkWaitMs, node) => {
      const actor = toActor(machine, clock, checkWaitMs)
      nodeOf.set(actor.system, node)
      return actor
    })
  }

  /** Opens the books of all, and lets each begin in its time. Takes virtual time up to the latest of them. */
  async start(untilMs: number): Promise<void> {
    for (const actor of this.#actors) actor.start()
    // Books open by promises, and no virtual time may pass before.
    await this.#clock.runUntil(this.#clock.nowMs)
    await this.#clock.runUntil(untilMs, { isPatient: true })
  }

  /** The own log of a node has so many entries now. */
  grew(node: number, length: number): void {
    this.#actors[node]?.send({ type: 'log.grew', length })
  }

  stop(): void {
    for (const actor of this.#actors) actor.stop()
  }
}

/** Nobody says what it holds of the log, so the machine waits for the whole of its check. */
const toActor = (machine: typeof gossiperMachine, clock: VirtualClock, checkWaitMs: number) =>
  createActor(machine, { clock: clock.forMachines, input: { timings: { checkWaitMs } } })
