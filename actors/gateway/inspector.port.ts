import type { ActorTree, InspectionFrame, MachineGraph } from '../../protocol/inspection.ts'

/** Takes what happens. */
export interface InspectionWatcher {
  /**
   * Gets each frame, already written as JSON, and says whether it took it. One that did not is told everything anew when
   * it asks for it by `resume`.
   */
  take(json: string, frame: InspectionFrame): boolean
}

/** One that is watching. */
export interface Inspection {
  /** Sends `hello` again, after frames that were not taken. */
  resume(): void
  close(): void
}

/** The actors of a system, for whoever wants to look at them. Costs nothing while nobody does. */
export interface InspectorPort {
  tree(): ActorTree
  /** Undefined for one that is not drawn: the tree names those that are. */
  graph(id: string): MachineGraph | undefined
  /** Undefined when as many as may already watch. */
  watch(watcher: InspectionWatcher): Inspection | undefined
}
