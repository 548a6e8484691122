import { DemoBoard } from './board.ts'
import { DemoMesh, orGone } from './mesh.ts'
import { playScenario } from './scenario.ts'
import { summarize, toLines, type DemoSummary } from './summary.ts'
import type { DemoView } from './view.ts'

export type { DemoSummary } from './summary.ts'
export { createScreenView } from './screen-view.ts'
export { createLinesView, quietView, type DemoView } from './view.ts'

export interface DemoOptions {
  readonly seed: number
  readonly view: DemoView
  readonly signal: AbortSignal
}

export interface DemoOutcome {
  readonly summary: DemoSummary
  /** The same for people. */
  readonly lines: readonly string[]
}

/** Milliseconds between two pictures. */
const frameMs = 100

/**
 * A mesh of separate processes on this machine: clients of several tiers, a worker that is slow, one that cheats and
 * one that is killed in mid-answer. Ends with what was promised and what was measured.
 *
 * @throws QMeshError what a mesh cannot be started with, `QM_CANCELLED`
 */
export async function runDemo({ seed, view, signal }: DemoOptions): Promise<DemoOutcome> {
  const startedAtMs = performance.now()
  view.say('three workers start, each in a process of its own: quick, slow and hostile')
  const mesh = await DemoMesh.start(signal, (text) => view.say(text))
  const board = new DemoBoard(mesh)
  const frames = setInterval(() => {
    board.look()
    view.show(board)
  }, frameMs)
  try {
    view.say(
      `they serve the built-in model, slowed to reading speed; ${mesh.clients.length} clients found them`,
    )
    const facts = await orGone(playScenario({ mesh, board, view, seed, signal, startedAtMs }), signal)
    return { summary: summarize(facts), lines: toLines(facts) }
  } finally {
    clearInterval(frames)
    view.close()
    await mesh.close()
  }
}
