import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { createProgram } from '../../bin/main.ts'
import { toAttribute } from '../../bin/options.ts'
import { configFromOptions, configKeyNames, loadConfig, type Config } from '../../runtime/config/index.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const packageSchema = z.object({ version: z.string(), scripts: z.record(z.string(), z.string()) })
const manifest = packageSchema.parse(JSON.parse(read('package.json')))

/** Milliseconds that everything but the running answers has to stop; `bin/commands/up.ts` has it. */
const stopSeconds = Number(/stopDeadlineMs = (\d+)_000/.exec(read('bin/commands/up.ts'))?.[1])

/**
 * Reads a command line as `qmesh-node` does, and the variables beside it, without running it.
 *
 * @throws what the command line says of a mistake
 */
async function readCommand(args: readonly string[], env: Record<string, string> = {}) {
  let command: Command | undefined
  const program = createProgram(() => undefined)
  const listen = (of: Command): void => {
    for (const each of of.commands) {
      listen(each)
      if (each.commands.length === 0) each.action(() => void (command = each))
    }
  }
  listen(program)
  await program.parseAsync([...args], { from: 'user' })
  if (!command) throw new Error(`no command runs: ${args.join(' ')}`)
  const options = command.opts<Record<string, unknown>>()
  const flags = Object.fromEntries(configKeyNames.map((key) => [key, options[toAttribute(key)]]))
  // No file of whoever runs the tests.
  const cwd = await tempDir()
  const { config } = await loadConfig({ flags, env: { ...env, HOME: cwd, XDG_CONFIG_HOME: cwd }, cwd })
  return { name: command.name(), config }
}

const reachesOthers = ({ gatewayHost, gatewayKeys }: Config): boolean =>
  gatewayHost !== '127.0.0.1' && gatewayKeys.length === 0

describe('a mistake in what follows', () => {
  it('is found: by the name of a command, a flag, a variable or a value', async () => {
    await expect(readCommand(['upp'])).rejects.toThrow('unknown command')
    await expect(readCommand(['up', '--prot', '1'])).rejects.toThrow('unknown option')
    await expect(readCommand(['up', '--port', 'x'])).rejects.toThrow('must be a whole number')
    await expect(readCommand(['up'], { QMESH_PROT: '1' })).rejects.toThrow('is unknown')
    expect(await readCommand(['up', '--port', '7'])).toMatchObject({ name: 'up', config: { port: 7 } })
  })
})

const serviceSchema = z.object({
  build: z.literal('.'),
  image: z.string(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  stop_grace_period: z.string().regex(/^\d+s$/),
  healthcheck: z.object({ disable: z.boolean() }).optional(),
  depends_on: z.array(z.string()).default([]),
})
const composeSchema = z.object({
  services: z.record(z.string(), serviceSchema),
  volumes: z.record(z.string(), z.null()),
})

describe('compose.yaml', () => {
  const { services, volumes } = composeSchema.parse(parse(read('compose.yaml'), { merge: true }))
  const given = { QMESH_SECRET: 'a secret of the mesh', QMESH_GATEWAY_KEYS: 'a-key-of-sixteen-characters' }
  const fill = (text: string): string =>
    text.replaceAll(/\$\{(\w+):\?[^}]+\}/g, (_, name: string) => {
      expect(Object.keys(given)).toContain(name)
      return given[name as keyof typeof given]
    })
  const commandOf = ({ command, environment }: z.output<typeof serviceSchema>) =>
    readCommand(
      command ?? dockerCommand,
      Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, fill(value)])),
    )

  it('has a bootstrap and two nodes that find it, and nobody else', async () => {
    const read = await Promise.all(
      Object.entries(services).map(async ([name, service]) => [name, await commandOf(service)] as const),
    )
    const [bootstrap, ...nodes] = read
    expect(bootstrap).toMatchObject(['bootstrap', { name: 'bootstrap', config: { port: 49_737 } }])
    expect(nodes).toHaveLength(2)
    for (const [name, { name: command, config }] of nodes) {
      expect(command).toBe('up')
      expect(config).toMatchObject({
        name,
        bootstrap: ['bootstrap:49737'],
        secret: given.QMESH_SECRET,
        mdns: false,
      })
      expect(reachesOthers(config)).toBe(false)
    }
    expect(nodes.filter(([, { config }]) => config.gatewayHost === '0.0.0.0')).toHaveLength(1)
  })

  it('keeps what a node is, publishes to this machine only, and lets it stop in order', async () => {
    for (const [name, service] of Object.entries(services)) {
      const { name: command, config } = await commandOf(service)
      for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:/)
      if (command === 'bootstrap') {
        expect(service.healthcheck).toEqual({ disable: true })
        continue
      }
      expect(service.volumes).toEqual([`${name}:/data`])
      expect(volumes).toHaveProperty(name)
      expect(service.depends_on).toEqual(['bootstrap'])
      const seconds = Number(service.stop_grace_period.slice(0, -1))
      expect(seconds).toBeGreaterThan(config.drainSeconds + stopSeconds)
    }
  })
})

/** The instructions of a Dockerfile, lines that go on put together. */
const instructions = read('Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line !== '')
const last = (name: string): string =>
  instructions.findLast((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? ''
const listSchema = z.array(z.string())
const toList = (text: string): string[] => listSchema.parse(JSON.parse(text.slice(text.indexOf('['))))
const dockerCommand = toList(last('CMD'))

describe('Dockerfile', () => {
  it('runs a command that there is, as nobody special, with its data in a volume', async () => {
    expect(toList(last('ENTRYPOINT'))).toEqual(['qmesh-node'])
    const variables = Array.from(last('ENV').matchAll(/(QMESH_\w+)=(\S+)/g), ([, name = '', value = '']) => [
      name,
      value,
    ])
    const { name, config } = await readCommand(dockerCommand, Object.fromEntries(variables))
    expect({ name, dataDir: config.dataDir }).toEqual({ name: 'up', dataDir: last('VOLUME') })
    expect(last('USER')).toBe('node')
    expect(last('STOPSIGNAL')).toBe('SIGTERM')
    expect(instructions).toContain(`EXPOSE ${config.port}/udp`)
    expect(instructions).toContain(`EXPOSE ${config.gatewayPort}/tcp`)
  })

  it('asks the gateway whether it is well, with a program that the image has', () => {
    const [program, flag, script = ''] = toList(last('HEALTHCHECK'))
    expect([program, flag]).toEqual(['node', '-e'])
    expect(script).toContain(`|| ${configFromOptions().gatewayPort}) + '/healthz'`)
    // It is a program, and says so when nobody answers.
    const env = { PATH: process.env['PATH'], QMESH_GATEWAY_PORT: '9' }
    expect(spawnSync(process.execPath, ['-e', script], { env }).status).toBe(1)
  })

  it('is given all that its build reads', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []))
    const { include } = z.object({ include: listSchema }).parse(JSON.parse(read('tsconfig.build.json')))
    expect(allowed).toEqual(expect.arrayContaining([...include, 'tsconfig.json', 'tsconfig.build.json']))
    const built = Object.entries(manifest.scripts).flatMap(([name, script]) =>
      name.startsWith('build')
        ? Array.from(script.matchAll(/\b(\w+)\/[\w.-]+\.(?:tsx?|css|html)\b/g), ([, folder]) => folder)
        : [],
    )
    expect(built).toContain('console')
    expect(allowed).toEqual(expect.arrayContaining(built))
  })
})

describe('docs/systemd/qmesh-node.service', () => {
  const lines = read('docs/systemd/qmesh-node.service')
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
  const all = (key: string): string[] =>
    lines.flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []))

  it('starts a command that there is, in the folder that it is given', async () => {
    const [start = ''] = all('ExecStart')
    const [program, name, ...args] = start.split(' ')
    expect([program, name]).toEqual(['/usr/bin/env', 'qmesh-node'])
    const variables = Object.fromEntries(
      all('Environment').map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
    )
    const { XDG_CONFIG_HOME, ...env } = variables
    expect(XDG_CONFIG_HOME).toBe('/etc')
    const { name: command, config } = await readCommand(args, env)
    expect(command).toBe('up')
    expect(config.dataDir).toBe(`/var/lib/${all('StateDirectory')[0]}`)
    expect(Number(all('TimeoutStopSec')[0])).toBeGreaterThan(config.drainSeconds + stopSeconds)
    expect(all('User')).toEqual(['qmesh'])
    expect(all('Restart')).toEqual(['on-failure'])
  })

  const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0
  it.skipIf(!hasAnalyze)('is what systemd understands, and exposes little', () => {
    const path = new URL('docs/systemd/qmesh-node.service', root).pathname
    const verified = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
    // It also says what it finds in other units of the machine.
    expect(verified.stderr).not.toContain('qmesh-node.service')
    const secured = spawnSync('systemd-analyze', ['security', '--offline=true', path], { encoding: 'utf8' })
    const [, exposure] = /Overall exposure level for [^:]+: ([\d.]+)/.exec(secured.stdout) ?? []
    // Before version 250 it cannot tell without a running systemd.
    if (exposure !== undefined) expect(Number(exposure)).toBeLessThan(3)
  })
})

describe('docs/OPERATIONS.md', () => {
  const text = read('docs/OPERATIONS.md')
  const blocks = Array.from(text.matchAll(/```sh\n([^]*?)```/g), ([, block = '']) =>
    block.replaceAll(/\\\n/g, ' '),
  )
  const commands = blocks
    .flatMap((block) => block.split('\n'))
    .flatMap(
      (line) =>
        /(?:^|\s)qmesh-node ([a-z].*)$/.exec(line.replace(/.*\/qmesh-node\.service.*/, ''))?.[1] ?? [],
    )
    .map((line) => line.split(/ (?:[|&;#]|>>?) ?/, 1)[0] ?? '')

  it('names commands and flags that there are', async () => {
    expect(commands.length).toBeGreaterThan(8)
    for (const line of commands) {
      const args = Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, word]) => quoted ?? word ?? '')
      const mistake = await readCommand(args).catch((error: unknown) => error)
      expect(mistake, `in: ${line}`).not.toBeInstanceOf(Error)
    }
  })

  it('names metrics that the dashboard has, too, and the package as it is called', () => {
    const dashboard = read('docs/grafana/qmesh.json')
    for (const [name] of text.matchAll(/\bqmesh_\w+/g)) expect(dashboard).toContain(name)
    expect(text).toContain(`qmesh-${manifest.version}.tgz`)
  })

  it('says how long stopping takes', () => {
    const { drainSeconds } = configFromOptions()
    expect(text).toContain(`\`drainSeconds\` (${drainSeconds})`)
    expect(text).toContain(`${stopSeconds} seconds`)
  })
})
