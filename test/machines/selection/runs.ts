/** Set for a proof, absent in everyday runs. */
const asked = Number(process.env['QMESH_TEST_RUNS'] ?? 0)

/** For properties that check one short history a run. */
export const runs = (usual: number): number => asked || usual

/** For long simulations: each of them is a hundred histories in one. */
export const longRuns = (usual: number): number => (asked ? Math.ceil(asked / 100) : usual)

/** A proof plays many short histories, an everyday run a few long ones. */
export const requestsIn = (usual: number, inProof: number): number => (asked > 1_000 ? inProof : usual)
