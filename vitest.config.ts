import { defineConfig } from 'vitest/config'

// One seed for every property in a run, printed so that a failure can be replayed with QMESH_TEST_SEED.
process.env['QMESH_TEST_SEED'] ??= process.env['CI'] === 'true' ? '20240229' : String(Date.now() % 2 ** 31)

export default defineConfig({
  test: {
    globalSetup: ['test/support/print-seed.ts'],
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
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'mesh',
          include: ['test/mesh/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Real nodes and real inference threads share two cores: one file at a time keeps timings honest.
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'chaos',
          include: ['test/chaos/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
