import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// One seed for every property in a run, printed so that a failure can be replayed with QMESH_TEST_SEED.
process.env['QMESH_TEST_SEED'] ??= process.env['CI'] === 'true' ? '20240229' : String(Date.now() % 2 ** 31)

export default defineConfig({
  test: {
    globalSetup: ['test/support/print-seed.ts'],
    // Most tests wait more than they compute: a machine of two cores runs two files at a time, not one.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Here and below many times what a slow computer takes: who hangs fails, and nobody else does.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    coverage: {
      provider: 'v8',
      include: ['protocol/**', 'machines/**', 'actors/**', 'runtime/**', 'bin/**'],
    },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/{protocol,machines,actors,runtime,bin,docs}/**/*.test.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'property',
          include: ['test/**/*.property.ts'],
          setupFiles: ['test/support/fast-check.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'mesh',
          include: ['test/mesh/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'examples',
          include: ['test/examples/**/*.test.ts'],
          globalSetup: ['test/examples/support/install.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'console',
          include: ['test/console/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'chaos',
          include: ['test/chaos/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
