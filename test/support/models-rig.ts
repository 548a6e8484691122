import { randomFillSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ModelManager, type ModelManagerOptions } from '../../actors/models/fetch/model-manager.ts'
import { ModelStore } from '../../actors/models/store/model-store.ts'
import type { ModelManifest, ModelSource } from '../../protocol/models/index.ts'
import { sha256 } from './core-rig.ts'
import { createTinyGguf } from './tiny-gguf.ts'

const tinyModels = new Map<number, Buffer>()

/** A complete model file of about so many bytes: the tensors of a tiny one, and noise that nobody reads behind them. */
export function createModelFile(bytes = 2_000_000, seed = 1): Buffer {
  const model = tinyModels.get(seed) ?? createTinyGguf({ seed, layers: 1 })
  tinyModels.set(seed, model)
  const rest = Math.max(0, bytes - model.length)
  return Buffer.concat([model, randomFillSync(Buffer.alloc(rest))])
}

export function createManifest(
  file: Buffer | undefined,
  sources: readonly ModelSource[],
  artifact: Partial<ModelManifest['artifact']> = {},
): ModelManifest {
  return {
    format: 1,
    id: 'tiny',
    version: 1,
    name: 'Tiny',
    description: '',
    kind: 'chat',
    licence: 'MIT',
    tags: [],
    facts: {
      architecture: 'llama',
      quantization: 'F32',
      parameters: null,
      contextTokens: null,
      embeddingLength: null,
      hasChatTemplate: null,
    },
    artifact: { bytes: file?.length ?? null, sha256: file ? sha256(file) : null, core: null, ...artifact },
    sources,
    publisher: null,
    signature: null,
  }
}

/** Stores and managers in a folder of their own, all gone afterwards. */
export class ModelsRig {
  readonly folder = mkdtempSync(join(tmpdir(), 'qmesh-models-'))
  readonly #closers: (() => Promise<unknown>)[] = []
  #count = 0

  async create(
    options: Partial<ModelManagerOptions> & { readonly dir?: string } = {},
  ): Promise<{ readonly store: ModelStore; readonly manager: ModelManager; readonly dir: string }> {
    const dir = options.dir ?? join(this.folder, `store-${++this.#count}`)
    const store = options.store ?? (await ModelStore.open({ dir }))
    const manager = new ModelManager({ freeBytes: () => Promise.resolve(1e12), ...options, store })
    this.#closers.push(() => manager.close().then(() => store.close()))
    return { store, manager, dir }
  }

  closing(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
