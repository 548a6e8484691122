import { describe, expect, it } from 'vitest'
import { configFromOptions, type ConfigInput } from '../../runtime/config/index.ts'
import { toMemoryBudget, toModelSpecs } from '../../runtime/model-specs.ts'

const specs = (input: ConfigInput) => toModelSpecs(configFromOptions(input))

describe('the models of a configuration', () => {
  it('a path is known by its file name, a table by what it says', async () => {
    expect(
      await specs({
        models: ['/models/Some Model.Q4_1.gguf', { path: '/models/b.gguf', id: 'bee', slots: 1 }],
        contextTokens: 1_024,
        slots: 3,
      }),
    ).toEqual([
      { id: 'some-model.q4_1', path: '/models/Some Model.Q4_1.gguf', contextTokens: 1_024, slots: 3 },
      { id: 'bee', path: '/models/b.gguf', contextTokens: 1_024, slots: 1 },
    ])
  })

  it('a name that is no path and not built in is refused by name', async () => {
    await expect(specs({ models: ['llama-70b'] })).rejects.toMatchObject({
      code: 'QM_MODEL_FILE_MISSING',
      message: expect.stringContaining('"llama-70b"'),
    })
  })

  it('what a file must be is known to whoever loads it', async () => {
    const sha256 = 'ab'.repeat(32)
    const [model] = await specs({ models: [{ path: '/a.gguf', sha256 }] })
    expect(model?.expectedHash).toBe(sha256)
  })

  it('a model of the store is found by its name, and is what the store says', async () => {
    const stored = { path: '/store/blobs/x.gguf', hash: 'cd'.repeat(32), manifest: { id: 'small' } }
    const store = { find: (name: string) => (name === 'small' ? stored : undefined) }
    const [model] = await toModelSpecs(configFromOptions({ models: ['small'] }), store)
    expect(model).toMatchObject({ id: 'small', path: stored.path, expectedHash: stored.hash })
  })

  it('what comes and goes has a budget, given or measured; what stays has none', async () => {
    const input: ConfigInput = {
      models: [{ path: '/a.gguf', load: 'demand', pinned: true, keepLoaded: 30 }],
    }
    const [model] = await specs(input)
    expect(model).toMatchObject({ load: 'demand', isPinned: true, keepLoadedMs: 30_000 })
    const budget = async (given: ConfigInput) => {
      const config = configFromOptions(given)
      return toMemoryBudget(config, await toModelSpecs(config), () => Promise.resolve(1_000))
    }
    expect(await budget(input)).toBe(900)
    expect(await budget({ models: ['/a.gguf'] })).toBeUndefined()
    expect(await budget({ models: ['/a.gguf'], memoryBudget: 2 })).toBe(2 * 1024 ** 2)
  })

  it('two models of one name are refused', async () => {
    await expect(specs({ models: ['/a/x.gguf', '/b/x.gguf'] })).rejects.toMatchObject({
      code: 'QM_CONFIG_INVALID',
      message: expect.stringContaining('"x"'),
    })
  })
})
