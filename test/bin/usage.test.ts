import { existsSync } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exitCodes } from '../../runtime/exit-codes.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { cli, runMain } from './cli.ts'

// A run in a process of its own compiles the sources first.
const timeout = 30_000
/** A device of Linux that nothing can be written to. */
const hasFullDevice = existsSync('/dev/full')

describe('help', { timeout }, () => {
  it('lists every command and the exit codes', async () => {
    const { code, stdout, stderr } = await cli(await tempDir(), ['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const name of [
      'up',
      'ask',
      'chat',
      'bootstrap',
      'status',
      'inspect',
      'top',
      'workers',
      'scores',
      'why-score',
      'credit',
      'models',
      'keys',
      'config',
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    }
    for (const { code, meaning } of Object.values(exitCodes)) expect(stdout).toContain(`${code}  ${meaning}`)
  })

  it.each([
    'up',
    'ask',
    'chat',
    'bootstrap',
    'status',
    'inspect',
    'top',
    'workers',
    'scores',
    'why-score',
    'credit',
    'models',
    'keys',
    'config',
  ])('of %s has examples', async (name) => {
    const { code, stdout } = await runMain(await tempDir(), [name, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`Examples:\n  qmesh-node ${name}`)
  })

  it('is what a bare command gets, as a mistake', async () => {
    const { code, stdout, stderr } = await runMain(await tempDir(), [])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('Usage: qmesh-node')
  })

  it.each([[['help', '--help']], [['models', 'help', '--help']]])('is what %j gets', async (args) => {
    const { code, stdout, stderr } = await runMain(await tempDir(), args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('Usage: qmesh-node')
  })

  it.each(['models', 'keys'])('is what "%s" alone gets, as a mistake', async (name) => {
    const { code, stdout, stderr } = await runMain(await tempDir(), [name])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^Usage: qmesh-node ${name} `))
    expect(stderr).not.toMatch(/error|hint:|outputHelp/)
  })

  it('--version prints the version of the package', async () => {
    const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
    const { version } = JSON.parse(text) as { version: string }
    expect(await runMain(await tempDir(), ['--version'])).toEqual({
      code: 0,
      stdout: `${version}\n`,
      stderr: '',
    })
  })
})

describe('a mistake on the command line', { timeout }, () => {
  it.each([
    [['aks'], "unknown command 'aks'", 'Did you mean ask?'],
    [['ask', '--modle', 'x', 'hi'], "unknown option '--modle'", 'Did you mean --model?'],
    [['up', '--port'], 'argument missing', ''],
    [['ask', '--temperature', 'hot', 'hi'], '--temperature must be a number from 0 to 5', '"hot"'],
    [['ask', '--max-tokens', '1.5', 'hi'], '--max-tokens must be a whole number', '"1.5"'],
    [['ask', '--json-schema', './nowhere.json', 'hi'], '--json-schema', 'cannot be read'],
    [['ask', ' '], 'a prompt is missing', ''],
    [['config', 'erase'], "'erase' is invalid", 'show, path, init'],
    [['ask', '--temperature', 'hot', 'hi'], '', 'hint: see "qmesh-node ask --help"'],
    [['models', 'pin', '--of', 'x'], '', 'hint: see "qmesh-node models pin --help"'],
    [['--nope'], "unknown option '--nope'", 'hint: see "qmesh-node --help"'],
    [['help', 'aks'], "no command 'aks'", 'hint: see "qmesh-node --help"'],
    [['models', 'help', 'pul'], "no command 'pul'", 'hint: see "qmesh-node models --help"'],
    [['ask', '--stop', '', 'hi'], '--stop must be 1 to 64 characters', 'has 0'],
    [['ask', ...'--stop x '.repeat(9).trim().split(' '), 'hi'], '--stop may be given 8 times', '9'],
    [['ask', '--model', 'Llama3.2:3b', 'hi'], '--model must be an id', 'did you mean "llama3.2-3b"?'],
    [['drain', '--timeout', '5'], '--timeout says how long --wait waits', 'add --wait'],
    [['top', '--once', '--every', '5'], "'--once' cannot be used with option '--every", ''],
    [['why', '--list', '--replay'], "'--list' cannot be used with option '--replay'", ''],
    [['models', 'cache', '--limit-gb', '5'], '--limit-gb says how far --prune goes', 'add --prune'],
    [['models', 'seed', '--stop', '--list'], "'--stop' cannot be used with option '--list'", ''],
    [['models', 'publish', '--off', '--name', 'x', 'y'], "'--off' cannot be used with option '--name", ''],
    [['models', 'add', '--manifest', 'x', '--id', 'y', 'z'], 'cannot be used with option', '--id'],
    [['config', 'init', '--port', '5'], '"config init" takes no values', 'leave --port out'],
  ])('%j: %s', async (args, message, more) => {
    const { code, stdout, stderr } = await runMain(await tempDir(), args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^error QM_USAGE: [^\n]*\nhint: [^\n]*\n$/)
    expect(stderr).toContain(message)
    expect(stderr).toContain(more)
  })

  it.each([[[]], [['-']]])('ask %j wants something on standard input', async (words) => {
    const { code, stdout, stderr } = await cli(await tempDir(), ['ask', ...words])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('error QM_USAGE: standard input holds no prompt')
  })

  it('shows a stack trace only when asked to', async () => {
    const home = await tempDir()
    expect((await runMain(home, ['status'])).stderr).not.toContain('    at ')
    expect((await runMain(home, ['status'], { env: { QMESH_DEBUG: '1' } })).stderr).toContain('    at ')
  })
})

describe('a bad configuration', { timeout }, () => {
  it.each([
    ['port = = 1', {}, [], 'QM_CONFIG_SYNTAX', 'config.toml:1:8'],
    ['prot = 1', {}, [], 'QM_CONFIG_INVALID', 'did you mean "port"?'],
    ['', { QMESH_SLOTS: '0' }, [], 'QM_CONFIG_INVALID', 'QMESH_SLOTS: "slots" must be'],
    [
      '',
      {},
      ['--bootstrap', 'nowhere'],
      'QM_CONFIG_INVALID',
      '--bootstrap: "bootstrap[0]" must be host:port',
    ],
  ])('%j %j %j ends every command with 2', async (toml, env, flags, code, message) => {
    const home = await tempDir()
    await mkdir(join(home, 'config', 'qmesh'), { recursive: true })
    await writeFile(join(home, 'config', 'qmesh', 'config.toml'), toml)
    const run = await runMain(home, ['workers', ...flags, '--json'], { env })
    expect(run.code).toBe(2)
    expect(run.stderr).toContain(`error ${code}: `)
    expect(run.stderr).toContain(message)
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code } })
  })
})

describe('what is given as a model', { timeout }, () => {
  it('is told how to be written when it is a file without the ending of models', async () => {
    const home = await tempDir()
    await writeFile(join(home, 'README.md'), 'not a model')
    const run = await runMain(home, ['up', '--model', 'README.md'])
    expect(run.code).toBe(2)
    expect(run.stderr).toContain('--model: "models[0]" is no id of a model; ')
    expect(run.stderr).toContain('write ./README.md (its name does not end in .gguf, as those of models do)')
    expect((await runMain(home, ['up', '--model', 'LICENSE'])).stderr).toContain('must be a path, an id')
  })
})

describe('config', { timeout }, () => {
  it('shows each value and where it came from, secrets aside', async () => {
    const home = await tempDir()
    const file = join(home, 'q.toml')
    await writeFile(file, 'name = "box"\nsecret = "correct horse"\n')
    const args = [
      'config',
      '--json',
      '--config',
      file,
      '--port',
      '5',
      '--no-mdns',
      '--model',
      'a.gguf',
      '--model',
      'nano',
    ]
    const { code, stdout } = await runMain(home, args, { env: { QMESH_SLOTS: '2' } })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      file: { path: file, exists: true },
      values: {
        name: { value: 'box', source: `${file}:1` },
        secret: { value: '(hidden)', source: `${file}:2` },
        slots: { value: 2, source: 'QMESH_SLOTS' },
        port: { value: 5, source: '--port' },
        mdns: { value: false, source: '--mdns' },
        models: { value: [join(home, 'a.gguf'), 'nano'], source: '--model' },
        dataDir: { value: join(home, 'data', 'qmesh'), source: 'default' },
        host: { value: null, source: 'default' },
      },
    })
    const table = await runMain(home, ['config', '--config', file])
    expect(table.stdout).toMatch(/^name +box +.*q\.toml:1$/m)
    expect(table.stdout).not.toContain('correct horse')
  })

  it('writes a file that is then read, once, for its owner only', async () => {
    const home = await tempDir()
    const path = (await runMain(home, ['config', 'path'])).stdout.trim()
    expect(path).toBe(join(home, 'config', 'qmesh', 'config.toml'))
    expect(await runMain(home, ['config', 'init'])).toEqual({ code: 0, stdout: `${path}\n`, stderr: '' })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const again = await runMain(home, ['config', 'init'])
    expect(again.code).toBe(2)
    expect(again.stderr).toContain('exists already')
    expect(JSON.parse((await runMain(home, ['config', '--json'])).stdout)).toMatchObject({
      file: { path, exists: true },
    })
  })

  it('says why a file cannot be written, and leaves none', async () => {
    const home = await tempDir()
    await writeFile(join(home, 'file'), '')
    const run = await runMain(home, ['config', 'init', '--config', join(home, 'file', 'q.toml')])
    expect(run).toMatchObject({ code: 2, stdout: '' })
    expect(run.stderr).toMatch(/QM_USAGE: the folder .*file cannot be made: it is a file, not a folder/)
  })

  it.skipIf(!hasFullDevice)('says that the disk is full that its output goes to', async () => {
    const run = await cli(await tempDir(), ['config', '--json'], { into: '/dev/full' })
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(/^error QM_OUTPUT_FAILED: standard output cannot be written: .*no space left/)
  })

  it('says of a secret that there is none, and what is wrong with it', async () => {
    const home = await tempDir()
    const none = await runMain(home, ['config'])
    expect(none.stdout).toMatch(/^gatewayKeys +\[\] +default$/m)
    const file = join(home, 'q.toml')
    await writeFile(file, 'secret = 12345678\n')
    const wrong = await runMain(home, ['config', '--config', file])
    expect(wrong.stderr).toContain('"secret" must be 8 to 256 characters, but it is a number')
  })
})

describe('without a running node', { timeout }, () => {
  it('status ends with 1 and says how to start one', async () => {
    const { code, stdout, stderr } = await runMain(await tempDir(), ['status', '--json'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error QM_NODE_NOT_RUNNING: .*qmesh-node up/)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'QM_NODE_NOT_RUNNING' } })
  })

  it('status says how to start one on the data directory that was named', async () => {
    const home = await tempDir()
    const other = join(home, 'other')
    expect((await runMain(home, ['status'])).stderr).toMatch(/: qmesh-node up\n/)
    expect((await runMain(home, ['status', '--data-dir', other])).stderr).toContain(
      `: qmesh-node up --data-dir ${other}\n`,
    )
  })
})
