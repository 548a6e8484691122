import type { AddCommand } from '../command.ts'
import { configKeyNames, type Config, type LoadedConfig } from '../../runtime/config/index.ts'
import { QMeshError } from '../../runtime/error-report.ts'
import { listenForShutdown } from '../../runtime/shutdown.ts'
import { packageVersion } from '../../runtime/version.ts'
import { withoutRetry } from '../../runtime/retry-text.ts'
import { toFinalFailure } from '../final-failure.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'
import { programName } from '../program-name.ts'
import { createSpinner } from '../spinner.ts'

const examples = `
Examples:
  qmesh-node up                         serve the small built-in model
  qmesh-node up --model ./a.gguf --model ./b.gguf --slots 2 --name gpu-box
  qmesh-node up --bootstrap 192.168.1.5:49737 --secret "$SECRET" --model ./a.gguf
  qmesh-node up --no-serve              answer this machine only
  qmesh-node up --gateway-port 8000     OpenAI's API on another port than 11500
  qmesh-node up --engine openai --engine-url http://127.0.0.1:11434/v1 --engine-model llama3.2:3b
                                        serve a model that Ollama, LM Studio or llama-server runs

It runs until Ctrl-C or SIGTERM and then stops in order; a second Ctrl-C ends it at once.`

/** Milliseconds that everything but the running answers may take to stop; then the process ends, finished or not. */
const stopDeadlineMs = 22_000

export const addUp: AddCommand = (program, exit) => {
  const command = program
    .command('up')
    .description('start a node: serve the models given, and let this machine ask the mesh')
    .option('--json', 'print the node as one JSON document when it is ready')
    .addHelpText('after', examples)
  addConfigFlags(command, configKeyNames).action(async (flags: { json?: boolean }) => {
    const loaded = await loadCommandConfig(command, configKeyNames)
    const { config } = loaded
    const { createNode } = await import('../../runtime/index.ts')
    const starting = createNode({
      ...config,
      control: true,
      gateway: config.gateway ?? true,
      // A second node on this machine finds the port taken: that is no reason not to serve.
      isGatewayRequired: config.gateway === true,
    })
    // A signal may come while it starts: then it stops as soon as it has started.
    const shutdown = listenForShutdown({
      stop: async () => (await starting).stop(),
      deadlineMs: config.drainSeconds * 1_000 + stopDeadlineMs,
      onSignal: (signal, isForced) =>
        note(isForced ? 'forced to stop' : `${signal}: stopping, again to force it`),
      onFailure: ({ message }) => note(`stopping failed: ${message}`),
    })
    try {
      const node = await starting
      if (!flags.json) await printStart(config, node.id)
      const isReady = await Promise.race([waitForModels(node), shutdown.stopped.then(() => false)])
      if (isReady && flags.json) await output.json(node.status())
      else if (isReady) await printReady(loaded, node.status())
      exit(await shutdown.stopped)
    } catch (error) {
      await starting.then((node) => node.stop()).catch(() => undefined)
      throw error
    } finally {
      shutdown.dispose()
    }
  })
}

type Node = Awaited<ReturnType<(typeof import('../../runtime/index.ts'))['createNode']>>
type Status = ReturnType<Node['status']>

async function printStart(config: Config, id: string): Promise<void> {
  const mesh = config.secret === undefined ? 'open mesh' : 'private mesh'
  const via = config.bootstrap.length > 0 ? config.bootstrap.join(', ') : 'the public DHT'
  await output.table([
    [`QMesh ${packageVersion()}`, ''],
    ['id', id],
    ['data', config.dataDir],
    ['network', `${mesh}, through ${via}`],
    ...(config.tracesEndpoint === undefined ? [] : [['traces', config.tracesEndpoint]]),
  ])
}

/**
 * A node that can serve nothing of what it was started for must not look like one that does: whoever starts it, a person or
 * a supervisor, hears of it by the exit code. With one model it goes on, and says what the others failed with.
 *
 * @throws QMeshError what the first model failed with, when none of those asked for could be loaded
 */
async function waitForModels(node: Node): Promise<boolean> {
  const progress = (): string => {
    const { models } = node.status()
    const names = (wanted: string): string =>
      models.flatMap(({ id, state }) => (state === wanted ? [id] : [])).join(', ')
    return names('loading') === '' ? `waiting for ${names('recovering')}` : `loading ${names('loading')}`
  }
  const spinner = createSpinner(progress())
  const timer = setInterval(() => spinner.text(progress()), 500)
  const failure = await node.ready.catch((error: unknown) => error)
  clearInterval(timer)
  spinner.stop()
  // A signal came while they were loading: that is all there is to say.
  if (failure instanceof QMeshError && failure.code === 'QM_NODE_STOPPED') return false
  const failed = node.status().models.filter(({ state }) => state === 'failed')
  const what = failure === undefined ? ', going on without it' : ''
  for (const { id, error } of failed) {
    const { code, message = '' } = error ?? {}
    note(`model ${id} failed${what}: ${code}: ${failure === undefined ? message : withoutRetry(message)}`)
  }
  if (failure === undefined) return true
  note('none of the models could be loaded, so this node stops; with "models = []" it runs without any')
  throw toFinalFailure(failure)
}

async function printReady({ config, origins }: LoadedConfig, { models, gateway }: Status): Promise<void> {
  const ready = models.filter(({ state }) => state === 'ready')
  await output.table([
    ...ready.map(({ id, slots, contextTokens, backend, memoryMb, path }) => [
      'model',
      `${id}: ${slots} slots of ${contextTokens} tokens ` +
        (backend === 'remote' ? `at ${path}` : `on ${backend}, ${Math.round(memoryMb ?? 0)} MB`),
    ]),
    ...models
      .filter(({ state }) => state === 'loadable')
      .map(({ id, slots, contextTokens }) => [
        'model',
        `${id}: ${slots} slots of ${contextTokens} tokens, loaded when it is asked for`,
      ]),
    ...(models.length === 0 ? [['model', 'none: this node asks but does not serve']] : []),
    ...(gateway?.url === undefined ? [] : [['gateway', `${gateway.url}/v1 for any client of OpenAI's API`]]),
  ])
  if (gateway?.error) note(`going on without a gateway: ${gateway.error.message}`)
  // Only what differs from the default has to be said again to reach this node.
  const where = origins.dataDir.kind === 'flag' ? ` --data-dir ${config.dataDir}` : ''
  await output.line(
    `\nready; ask it from another terminal:\n  ${programName()} ask${where} "What is a mesh?"\nstop it with Ctrl-C` +
      // Last, where it is seen and can be clicked.
      (gateway?.url === undefined ? '' : `, or open it in a browser:\n  ${gateway.url}`),
  )
}
