import type { EngineHost } from '../../../actors/inference/engine.port.ts'

/** A loaded model that takes every request and never comes to an end with one. */
export const idleHost: EngineHost = {
  model: {
    id: 'tiny',
    hash: 'c'.repeat(64),
    contextTokens: 512,
    slots: 1,
    backend: 'cpu',
    threads: 1,
    memoryMb: 1,
  },
  prepare: () => Promise.resolve({ promptTokens: 3 }),
  release: () => {},
  generate: () => ({ cancel: () => {}, acknowledge: () => {}, finished: new Promise(() => {}) }),
  lost: new Promise(() => {}),
  close: () => Promise.resolve(),
}
