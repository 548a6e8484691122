import type { AnyActorRef } from 'xstate'

/** The part of a running actor that XState keeps for parents. */
interface Stoppable {
  _stop(): unknown
}

/**
 * Stops the children of an actor that ended by an error. XState leaves them running (its issue 5153), and its own
 * `stopChild` does nothing for an actor that has ended already: sockets, threads and timers would outlive their owner.
 */
export function stopOrphans(ended: AnyActorRef | undefined): void {
  const snapshot: unknown = ended?.getSnapshot()
  if (typeof snapshot !== 'object' || snapshot === null || !('children' in snapshot)) return
  for (const child of Object.values(snapshot.children as Record<string, AnyActorRef | undefined>)) {
    if (!child) continue
    // A child that failed itself has orphans of its own; a living one stops its children with it.
    stopOrphans(child)
    ;(child as unknown as Stoppable)._stop()
  }
}
