import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  configFromOptions,
  loadConfig,
  shownValue,
  withoutEngine,
  type ConfigInput,
} from '../../../runtime/config/index.ts'
import { tempDir } from '../support/temp-dir.ts'

const url = 'http://127.0.0.1:11434/v1'
const openai = { engine: 'openai', engineUrl: url, engineModel: 'llama3.2:3b' } as const

describe('an engine that is another program', () => {
  it('replaces the small model that nobody asked for, and no other', async () => {
    expect(configFromOptions().models).toEqual(['nano'])
    expect(configFromOptions(openai).models).toEqual([])
    expect(configFromOptions({ ...openai, models: ['nano'] }).models).toEqual(['nano'])
    const env = {
      QMESH_ENGINE: 'openai',
      QMESH_ENGINE_URL: url,
      QMESH_ENGINE_MODEL: 'x',
      QMESH_ENGINE_SLOTS: '4',
    }
    const configFile = join(await tempDir(), 'config.toml')
    await writeFile(configFile, '')
    const { config } = await loadConfig({ env, configFile })
    expect(config).toMatchObject({
      engine: 'openai',
      engineUrl: url,
      engineModel: 'x',
      engineSlots: 4,
      models: [],
    })
  })

  it.each<[ConfigInput, RegExp]>([
    [{ engine: 'openai', engineModel: 'x' }, /"engineUrl" must say where/],
    [{ engine: 'openai', engineUrl: url }, /"engineModel" must name/],
    [{ engineUrl: url }, /"engineUrl" would have no effect: set "engine" to "openai"/],
    [{ ...openai, engineUrl: 'http://127.0.0.1:11500/v1' }, /the gateway of this very node/],
    [
      { ...openai, engineUrl: 'http://localhost:8000/v1', gatewayPort: 8_000 },
      /the gateway of this very node/,
    ],
    [
      { ...openai, engineUrl: 'http://me:secret@127.0.0.1/v1' },
      /"engineUrl" must be an address without a name/,
    ],
    [{ ...openai, engineUrl: 'file:///etc/passwd' }, /"engineUrl" must be/],
    [{ ...openai, engineUrl: 'http://127.0.0.1/v1?key=secret' }, /"engineUrl" must be/],
    [{ ...openai, engineKey: 'two words' }, /"engineKey" must be .* one of 9 characters/],
  ])('%j is refused', (input, reason) => {
    const refused = () => configFromOptions(input)
    expect(refused).toThrow(reason)
    expect(refused).toThrow(expect.objectContaining({ code: 'QM_CONFIG_INVALID' }))
  })

  it('has a key that is never shown', () => {
    expect(shownValue('engineKey', 'sk-secret')).toBe('(hidden)')
  })

  it('is left out of nodes that only ask', () => {
    const given = { ...openai, engineKey: 'k', engineSlots: 2, engineContext: 512, name: 'me' }
    expect(configFromOptions(withoutEngine(given))).toEqual(configFromOptions({ name: 'me' }))
  })
})
