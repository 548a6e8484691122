/** Runs of a property whose number is its own: QMESH_TEST_RUNS can raise it, and does not lower it. */
export const atLeast = (runs: number): number => Math.max(runs, Number(process.env['QMESH_TEST_RUNS'] ?? 0))
