import { fromCallback, fromPromise } from 'xstate'
import type { GossiperOrder, GossiperFact } from '../../../machines/trust/gossiper.machine.ts'
import type { Gossip } from './gossip.ts'
import type { GossipLedger } from './gossip.port.ts'

/** Books that are open, and how to close them. */
export interface OpenLedger {
  readonly ledger: GossipLedger
  /** Ends what runs and closes the files. Called once. */
  close(): Promise<void>
}

export interface GossiperPorts {
  readonly gossip: Gossip
  /** Opens the books. Never called while others are open. */
  open(): Promise<OpenLedger>
  /**
   * The start-up check, after peers said what they hold of the own log: takes in what it lacks. Rejects when this node
   * must not go on by itself.
   */
  settle(ledger: GossipLedger): Promise<void>
  onDefect(this: void, error: unknown): void
}

/**
 * The world of `gossiperMachine`, to be given by `provide`. The books are open from the end of `open` to `close`,
 * and closed also when the actor is stopped without a word.
 */
export function createGossiperActors(ports: GossiperPorts) {
  const { gossip } = ports
  let books: OpenLedger | undefined
  let closing: Promise<void> = Promise.resolve()

  const close = (): Promise<void> => {
    gossip.stop()
    const closed = books
    books = undefined
    if (closed) closing = Promise.all([closing, closed.close()]).then(() => undefined)
    return closing
  }

  return {
    open: fromPromise<void>(async ({ signal }) => {
      await closing.catch(ports.onDefect)
      closing = Promise.resolve()
      const opened = await ports.open()
      books = opened
      // Stopped meanwhile: nobody is left to close them.
      if (signal.aborted) await close()
    }),

    gossip: fromCallback<GossiperOrder>(({ sendBack, receive }) => {
      const tell = (fact: GossiperFact): void => sendBack(fact)
      if (books) gossip.start(books.ledger, (told) => tell({ type: 'gossip.told', ...told }))
      receive((order) => {
        switch (order.type) {
          case 'gossip.round': {
            const report = gossip.round()
            if (report) tell({ type: 'gossip.observed', ...report })
            return
          }
          case 'gossip.announce':
            gossip.announce({ withCard: order.withCard })
            return
          case 'gossip.regime':
            gossip.setRegime(order.regime)
            return
          case 'gossip.sweep':
            books?.ledger.sweep()
        }
      })
      return () => {
        void close().catch(ports.onDefect)
      }
    }),

    settle: fromPromise<void>(async () => {
      if (books) await ports.settle(books.ledger)
    }),

    close: fromPromise<void>(() => close()),
  }
}
