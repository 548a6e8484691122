import fc from 'fast-check'

/** Properties draw from the run's one seed; QMESH_TEST_RUNS raises their number for a long local run. */
fc.configureGlobal({
  seed: Number(process.env['QMESH_TEST_SEED']),
  ...(process.env['QMESH_TEST_RUNS'] ? { numRuns: Number(process.env['QMESH_TEST_RUNS']) } : {}),
})
