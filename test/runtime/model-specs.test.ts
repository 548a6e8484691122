import { describe, expect, it } from 'vitest'
import { configFromOptions, type ConfigInput } from '../../runtime/config/index.ts'
import { toModelSpecs } from '../../runtime/model-specs.ts'

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

  it('two models of one name are refused', async () => {
    await expect(specs({ models: ['/a/x.gguf', '/b/x.gguf'] })).rejects.toMatchObject({
      code: 'QM_CONFIG_INVALID',
      message: expect.stringContaining('"x"'),
    })
  })
})
