import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { toFileReason } from '../../actors/files/file-reason.ts'
import { type Bootstrap, createBootstrap } from '../../actors/swarm/index.ts'
import type { Tier } from '../../machines/scheduling/index.ts'
import { type PeerId, QMeshError } from '../../protocol/index.ts'
import { builtInModel } from '../built-in-model.ts'
import { createClient } from '../create-node.ts'
import type { QMeshClient } from '../node-api.ts'
import { identityFileName, loadIdentity } from '../identity.ts'
import type { WorkerOrder, WorkerReport } from './worker-order.ts'

/** `.ts` in a checkout, `.js` in `dist`; a process that runs from sources hands its loader on to those it forks. */
const workerEntry = fileURLToPath(
  new URL(`./worker-process${extname(fileURLToPath(import.meta.url))}`, import.meta.url),
)

/**
 * Where the mesh lives. Its ports may have belonged to another mesh of this machine, whose nodes still ask for their
 * old neighbours there; an address of its own keeps the two apart, where all of 127.0.0.0/8 is loopback.
 */
const toHost = (): string =>
  process.platform === 'linux'
    ? `127.${[...randomBytes(3)].map((byte) => 1 + (byte % 254)).join('.')}`
    : '127.0.0.1'

/** Who asks, from the first tier down. */
const clients = [
  { name: 'master', tier: 'master' },
  { name: 'silver', tier: 'silver' },
  { name: 'bronze-1', tier: 'bronze' },
  { name: 'bronze-2', tier: 'bronze' },
] as const satisfies readonly { readonly name: string; readonly tier: Tier }[]

export type ClientName = (typeof clients)[number]['name']

export interface DemoClient {
  readonly name: ClientName
  readonly tier: Tier
  readonly node: QMeshClient
}

/** Who answers: two nodes as anybody runs them, one of them slow, and one that only pretends. */
const workers = [
  { name: 'quick', kind: 'honest', slots: 2, tokenMs: 30 },
  { name: 'slow', kind: 'honest', slots: 1, tokenMs: 40 },
  { name: 'hostile', kind: 'hostile' },
] as const

export type WorkerName = (typeof workers)[number]['name']

export interface DemoWorker {
  readonly name: WorkerName
  readonly isHonest: boolean
  readonly pid: number
  readonly id: PeerId
  /** Questions that the hostile one got, as it says itself. */
  readonly requests: number
  readonly isAlive: boolean
  /** `kill -9`. */
  kill(): void
}

/** Places in a worker's queue: enough for everybody, should one worker have to take all. */
const queueCapacity = 16
/** Milliseconds for a process to come up on a machine that does much else, and for the nodes to meet. */
const startWithinMs = { process: 60_000, mesh: 20_000 } as const
/** Characters of a worker's last words that are kept for the report of its failure. */
const wordsMax = 2_000

/** A mesh of processes on this machine alone. Nothing of it is left after `close`, however far `start` came. */
export class DemoMesh {
  readonly workers: readonly DemoWorker[]
  readonly clients: readonly DemoClient[]
  readonly #close: () => Promise<void>

  private constructor(
    workers: readonly DemoWorker[],
    clients: readonly DemoClient[],
    close: () => Promise<void>,
  ) {
    this.workers = workers
    this.clients = clients
    this.#close = close
  }

  client(name: ClientName): DemoClient {
    const client = this.clients.find((client) => client.name === name)
    if (!client) throw new RangeError(name)
    return client
  }

  close(): Promise<void> {
    return this.#close()
  }

  /**
   * Resolves when every client knows every worker.
   *
   * @param tell hears what is being done
   * @throws QMeshError `QM_NETWORK_UNAVAILABLE` when the mesh does not form, `QM_CANCELLED`
   */
  static async start(signal: AbortSignal, tell: (text: string) => void): Promise<DemoMesh> {
    const root = await makeRoot()
    const children: ChildProcess[] = []
    const nodes: QMeshClient[] = []
    let bootstrap: Bootstrap | undefined
    const close = async (): Promise<void> => {
      // The workers last: whoever is too impatient for this leaves the folder to them.
      await Promise.allSettled(nodes.map((node) => node.stop()))
      await bootstrap?.close().catch(() => undefined)
      await Promise.all(children.map(end))
      await rm(root, { recursive: true, force: true, maxRetries: 3 })
    }
    try {
      const host = toHost()
      bootstrap = await createBootstrap({ host, port: 0, mdns: false })
      const address = `${host}:${bootstrap.address.port}`
      const secret = randomBytes(32).toString('hex')
      tell(`a bootstrap at ${address}; the mesh has a random secret, and nothing leaves this machine`)
      const { expectedHash = '' } = await builtInModel()
      const ids = await Promise.all(clients.map(({ name }) => createIdentity(join(root, name))))
      const tiers = Object.fromEntries(clients.map(({ tier }, index) => [ids[index], tier]))
      const common = { root, host, bootstrap: address, secret }
      const started = workers.map((worker) => {
        const order: WorkerOrder =
          worker.kind === 'hostile'
            ? { ...common, kind: 'hostile', modelHash: expectedHash }
            : { ...common, ...worker, queueCapacity, tiers, dataDir: join(root, worker.name) }
        return forkWorker(worker.name, order, children).then((running) => {
          tell(`${running.name} is up, process ${running.pid}`)
          return running
        })
      })
      const running = await orGone(Promise.all(started), signal)
      for (const client of clients) {
        nodes.push(
          await createClient({
            dataDir: join(root, client.name),
            bootstrap: [address],
            host,
            port: 0,
            secret,
            stampBits: 0,
            mdns: false,
            logLevel: 'silent',
          }),
        )
      }
      await untilMet(nodes, running, signal)
      const named = clients.flatMap((client, index) => {
        const node = nodes[index]
        return node ? [{ ...client, node }] : []
      })
      return new DemoMesh(running, named, close)
    } catch (error) {
      await close()
      throw error
    }
  }
}

/** @throws QMeshError `QM_DATA_DIR_UNUSABLE` */
async function makeRoot(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), 'qmesh-demo-'))
  } catch (error) {
    const what = `the folder for temporary files, ${tmpdir()}, cannot be used`
    throw new QMeshError('QM_DATA_DIR_UNUSABLE', `${what}: ${toFileReason(error)}`, { cause: error })
  }
}

/** A data directory that exists before its node, so that the workers know whom they will serve. */
async function createIdentity(dataDir: string): Promise<PeerId> {
  await mkdir(dataDir, { mode: 0o700 })
  return (await loadIdentity(join(dataDir, identityFileName))).id
}

function forkWorker(name: WorkerName, order: WorkerOrder, children: ChildProcess[]): Promise<DemoWorker> {
  const child = fork(workerEntry, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  children.push(child)
  let words = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-wordsMax)))
  let requests = 0
  child.send(order)
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void =>
      reject(new QMeshError('QM_INTERNAL', `the worker "${name}" did not start: ${words.trim() || reason}`))
    const seconds = startWithinMs.process / 1_000
    const timer = setTimeout(() => fail(`it took longer than ${seconds} s`), startWithinMs.process)
    child.once('exit', () => clearTimeout(timer))
    child.once('error', ({ message }) => fail(message))
    child.once('exit', (code, signal) => fail(`its process ended with ${signal ?? code}`))
    child.on('message', (report: WorkerReport) => {
      if (report.type === 'asked') {
        requests = report.requests
        return
      }
      clearTimeout(timer)
      resolve({
        name,
        isHonest: order.kind === 'honest',
        pid: child.pid ?? 0,
        id: report.id,
        get requests() {
          return requests
        },
        get isAlive() {
          return child.exitCode === null && child.signalCode === null && !child.killed
        },
        kill: () => void child.kill('SIGKILL'),
      })
    })
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Waits until every client has heard from every worker. */
async function untilMet(
  nodes: readonly QMeshClient[],
  running: readonly DemoWorker[],
  signal: AbortSignal,
): Promise<void> {
  const hasMetAll = (node: QMeshClient): boolean => {
    const serving = node.workers().filter(({ models, slots }) => models.length > 0 && slots > 0)
    return running.every(({ id }) => serving.some(({ workerId }) => workerId === id))
  }
  await until(() => nodes.every(hasMetAll), startWithinMs.mesh, signal)
  if (!nodes.every(hasMetAll)) {
    throw new QMeshError(
      'QM_NETWORK_UNAVAILABLE',
      `the nodes of the demo did not find each other within ${startWithinMs.mesh / 1_000} s`,
    )
  }
}

/** Looks until something is so, at most so long. @throws QMeshError `QM_CANCELLED` */
export async function until(isSo: () => boolean, withinMs: number, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!isSo() && performance.now() < endMs) {
    if (signal.aborted) throw new QMeshError('QM_CANCELLED')
    await sleep(10)
  }
}

/** @throws QMeshError `QM_CANCELLED` as soon as the signal says so */
export async function orGone<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new QMeshError('QM_CANCELLED'))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
  })
  work.catch(() => undefined)
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
