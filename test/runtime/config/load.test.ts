import { writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { QMeshError } from '../../../protocol/index.ts'
import {
  configFromOptions,
  loadConfig,
  type ConfigInput,
  type ConfigSources,
} from '../../../runtime/config/index.ts'
import { tempDir } from '../support/temp-dir.ts'

async function withFile(toml: string, sources: ConfigSources = {}) {
  const dir = await tempDir()
  const configFile = join(dir, 'config.toml')
  await writeFile(configFile, toml)
  return { dir, configFile, load: () => loadConfig({ env: {}, ...sources, configFile }) }
}

const failure = (work: () => unknown): Promise<QMeshError> =>
  Promise.resolve()
    .then(work)
    .then(
      () => expect.unreachable('it should have been refused'),
      (error: QMeshError) => error,
    )

describe('the order of sources', () => {
  const file = 'port = 1'
  const env = { QMESH_PORT: '2' }
  const flags = { port: '3' }

  it.each([
    ['nothing', '', {}, {}, 0, 'default'],
    ['the file', file, {}, {}, 1, 'file'],
    ['a variable', '', env, {}, 2, 'variable'],
    ['a flag', '', {}, flags, 3, 'flag'],
    ['a variable over the file', file, env, {}, 2, 'variable'],
    ['a flag over the file', file, {}, flags, 3, 'flag'],
    ['a flag over a variable', '', env, flags, 3, 'flag'],
    ['a flag over everything', file, env, flags, 3, 'flag'],
  ])('%s decides', async (_, toml, env, flags, port, kind) => {
    const { load } = await withFile(toml, { env, flags })
    const { config, origins } = await load()
    expect(config.port).toBe(port)
    expect(origins.port.kind).toBe(kind)
  })

  it('replaces a list as a whole', async () => {
    const { load } = await withFile('bootstrap = ["10.0.0.1:1", "10.0.0.2:2"]', {
      env: { QMESH_BOOTSTRAP: '10.0.0.3:3' },
    })
    expect((await load()).config.bootstrap).toEqual(['10.0.0.3:3'])
  })

  it('takes GPU_LAYERS, and QMESH_GPU_LAYERS over it', async () => {
    const plain = await (await withFile('', { env: { GPU_LAYERS: '0' } })).load()
    expect(plain.config.gpuLayers).toBe(0)
    const both = await (await withFile('', { env: { GPU_LAYERS: '0', QMESH_GPU_LAYERS: 'auto' } })).load()
    expect(both.config.gpuLayers).toBe(-1)
  })

  it('reads rates with a fraction, and says what is none', async () => {
    const { load } = await withFile('modelsUploadRate = 2', {
      env: { QMESH_MODELS_UPLOAD_RATE: '2.5' },
      flags: { modelsDownloadRate: '10' },
    })
    expect((await load()).config).toMatchObject({ modelsUploadRate: 2.5, modelsDownloadRate: 10 })
    const wrong = await withFile('', { env: { QMESH_MODELS_UPLOAD_RATE: '1e9' } })
    await expect(wrong.load()).rejects.toMatchObject({
      code: 'QM_CONFIG_INVALID',
      message: expect.stringContaining('must be a number from 0.01 to 100000, but it is "1e9"'),
    })
  })

  it('treats an empty variable as one that is not set', async () => {
    const { load } = await withFile('', { env: { QMESH_PORT: '', GPU_LAYERS: '' } })
    expect((await load()).origins.port.kind).toBe('default')
  })

  it('leaves QMESH_URL to the programs that ask, which run beside a node', async () => {
    const { load } = await withFile('port = 7', { env: { QMESH_URL: 'http://127.0.0.1:8000' } })
    expect((await load()).config.port).toBe(7)
  })

  it('finds the file by QMESH_CONFIG, and takes --config over it', async () => {
    const { configFile } = await withFile('port = 7')
    const { configFile: other } = await withFile('port = 8')
    const env = { QMESH_CONFIG: configFile }
    expect((await loadConfig({ env })).config.port).toBe(7)
    expect((await loadConfig({ env, configFile: other })).config.port).toBe(8)
  })
})

describe('values', () => {
  it('starts relative paths of a file at its folder, those of flags where the command runs, and knows ~', async () => {
    const { dir, load } = await withFile(
      'dataDir = "data"\nlogFile = "~/q.log"\n[[models]]\npath = "a.gguf"',
      {
        flags: {},
        cwd: '/elsewhere',
      },
    )
    const { config } = await load()
    expect(config.dataDir).toBe(join(dir, 'data'))
    expect(config.logFile).toBe(join(homedir(), 'q.log'))
    expect(config.models).toEqual([{ path: join(dir, 'a.gguf') }])
    const flags = { models: ['./b.gguf', 'nano'] }
    const fromFlag = await (await withFile('', { flags, cwd: '/elsewhere' })).load()
    expect(fromFlag.config.models).toEqual(['/elsewhere/b.gguf', 'nano'])
  })

  it.each([
    ['true', true],
    ['no', false],
    ['0', false],
    ['ON', true],
  ])('reads the switch %s', async (text, value) => {
    const { load } = await withFile('', { env: { QMESH_MDNS: text } })
    expect((await load()).config.mdns).toBe(value)
  })

  it('splits lists at commas, but never a path', async () => {
    const id = 'A'.repeat(64)
    const { load } = await withFile('', {
      env: { QMESH_DENY: `${id}, ${'b'.repeat(64)}` },
      flags: { bootstrap: ['10.0.0.1:1,10.0.0.2:2', '10.0.0.3:3'], models: ['/x,y.gguf'] },
    })
    const { config } = await load()
    expect(config.deny).toEqual([id.toLowerCase(), 'b'.repeat(64)])
    expect(config.bootstrap).toHaveLength(3)
    expect(config.models).toEqual(['/x,y.gguf'])
  })

  it('takes options of a program, leaving the environment alone', () => {
    const config = configFromOptions({ port: 5, models: [{ path: '/m.gguf', slots: 2 }], name: undefined })
    expect(config).toMatchObject({
      port: 5,
      models: [{ path: '/m.gguf', slots: 2 }],
      name: undefined,
      mdns: true,
    })
  })
})

describe('bad input', () => {
  it.each<[string, string]>([
    ['prot = 1', 'config.toml:1: the key "prot" is unknown; did you mean "port"?'],
    ['data_dir = "x"', 'did you mean "dataDir"?'],
    ['zzzzzzzz = 1', 'the keys are dataDir, models'],
    [
      'name = "a"\nport = "80"',
      'config.toml:2: "port" must be a whole number from 0 to 65535, but it is "80"',
    ],
    ['port = 65536', 'but it is 65536'],
    ['port = 1.5', 'but it is 1.5'],
    ['slots = 0', '"slots" must be a whole number from 1'],
    ['bootstrap = ["10.0.0.1:1", "nowhere"]', '"bootstrap[1]" must be host:port'],
    ['bootstrap = "10.0.0.1:1"', '"bootstrap" must be a list'],
    ['allow = ["abc"]', '"allow[0]" must be an id of 64 hex characters'],
    ['quietHours = ["22:00-07:00", "22-7"]', '"quietHours[1]" must be HH:MM-HH:MM, like 22:00-07:00'],
    [
      `quietHours = [${'"01:00-02:00",'.repeat(17)}]`,
      '"quietHours" must be a list of at most 16 parts of the day',
    ],
    ['modelsUploadRate = 0', '"modelsUploadRate" must be a number from 0.01 to 100000, but it is 0'],
    ['modelsPeersMax = 0', '"modelsPeersMax" must be a whole number from 1 to 1000'],
    ['modelsSeeders = ["me"]', '"modelsSeeders[0]" must be an id of 64 hex characters'],
    ['batteryMin = 101', '"batteryMin" must be a whole number from 0 to 100'],
    ['drainSeconds = -1', '"drainSeconds" must be a whole number from 0 to 3600'],
    ['host = "::1"', '"host" must be an IPv4 address'],
    ['logLevel = "loud"', 'one of trace, debug, info, warn, error, fatal, silent'],
    ['mdns = "maybe"', '"mdns" must be true or false'],
    ['models = ["Not An Id"]', '"models[0]" must be a path, an id'],
    ['[[models]]\nid = "x"', '"models[0].path" must be the path of a GGUF file, but it is missing'],
    ['[[models]]\npath = "x.gguf"\nslot = 2', 'the key "models[0].slot" is unknown; did you mean "slots"?'],
    ['[[models]]\npath = "x.gguf"\nslots = 0', '"models[0].slots" must be a whole number from 1'],
    ['name = "\\u001b[31m"', '"name" must be 1 to 64 printable characters'],
  ])('%j is refused: %s', async (toml, message) => {
    const { load } = await withFile(toml)
    const error = await failure(load)
    expect(error.code).toBe('QM_CONFIG_INVALID')
    expect(error.message).toContain(message)
  })

  it('says file, line and column of what is not TOML', async () => {
    const { configFile, load } = await withFile('port = 1\nname = = 2')
    const error = await failure(load)
    expect(error.code).toBe('QM_CONFIG_SYNTAX')
    expect(error.message).toMatch(`${configFile}:2:8: `)
    expect(error.message).not.toContain('\n')
  })

  it.each([
    [{ QMESH_PORT: 'x' }, {}, 'QMESH_PORT: "port" must be'],
    [{ GPU_LAYERS: 'many' }, {}, 'GPU_LAYERS: "gpuLayers" must be'],
    [{ QMESH_PROT: '1' }, {}, 'did you mean "QMESH_PORT"?'],
    [{}, { port: 'x' }, '--port: "port" must be'],
    [{}, { models: ['Bad Id'] }, '--model: "models[0]" must be'],
  ])('%j %j is refused naming its source', async (env, flags, message) => {
    const error = await failure((await withFile('', { env, flags })).load)
    expect(error.code).toBe('QM_CONFIG_INVALID')
    expect(error.message).toContain(message)
  })

  it('names every problem, not only the first', async () => {
    const { load } = await withFile('port = -1\nslots = 0')
    expect((await failure(load)).message).toMatch(/"port".*; .*"slots"/)
  })

  it('never shows a secret', async () => {
    const { load } = await withFile('secret = "hunter2"')
    const { message } = await failure(load)
    expect(message).toContain('"secret" must be 8 to 256 characters')
    expect(message).not.toContain('hunter2')
  })

  it('wants a file that was named to exist', async () => {
    const error = await failure(() => loadConfig({ env: {}, configFile: '/nowhere/config.toml' }))
    expect(error).toMatchObject({ code: 'QM_CONFIG_INVALID' })
    expect(error.message).toContain('there is no such configuration file')
  })

  it('wants a file, and waits for no pipe and reads no device', async () => {
    for (const configFile of [tmpdir(), '/dev/zero']) {
      const error = await failure(() => loadConfig({ env: {}, configFile }))
      expect(error).toMatchObject({ code: 'QM_CONFIG_INVALID' })
      expect(error.message).toContain('not a file')
    }
  })

  it('refuses unknown and wrong options of a program', async () => {
    const unknown = await failure(() => configFromOptions({ prot: 1 } as ConfigInput))
    expect(unknown.message).toContain('did you mean "port"?')
    const wrong = await failure(() => configFromOptions({ port: -1 }))
    expect(wrong).toMatchObject({
      code: 'QM_CONFIG_INVALID',
      message: expect.stringContaining('but it is -1') as string,
    })
  })
})
