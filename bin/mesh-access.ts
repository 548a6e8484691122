import { isDeepStrictEqual } from 'node:util'
import {
  isModelId,
  isModelPath,
  toModelId,
  withoutEngine,
  describeOrigin,
  type Config,
  type ConfigKey,
  type LoadedConfig,
} from '../runtime/config/index.ts'
import { toMeshTopic } from '../runtime/mesh-topic.ts'
import { builtInModelId } from '../runtime/built-in-model.ts'
import type { NodeStatus, QMeshNode } from '../runtime/index.ts'
import { findRunningNode, type ControlClient, type Meeting, type MeshPort } from '../runtime/control/index.ts'
import { QMeshError } from '../runtime/error-report.ts'
import { toFinalFailure } from './final-failure.ts'
import { embeddingHint, namedMeshHint } from './no-worker.ts'
import { note } from './output.ts'
import { askingFlags, isMeshNamed, quietConfig } from './quiet-config.ts'
import type { Spinner } from './spinner.ts'

/** A way to ask the mesh: through a node that runs here anyway, or through one that lives as long as the command. */
export interface MeshAccess {
  readonly port: MeshPort
  /** The node goes on when the command is over. */
  readonly isLasting?: true
  /** What every question asks for: the model, if the command named one, and whether it must stay here. */
  readonly target: { readonly model?: string; readonly localOnly?: true }
  /** This process as a worker, when all it has is the model that comes with the package. */
  readonly fallback?: { readonly workerId: string; readonly hasMet: boolean }
  /** What to do when no worker is found, where this way to ask knows better than the error. */
  readonly noWorkerHint?: string
  close(): Promise<void>
}

export interface AccessRequest {
  readonly loaded: LoadedConfig
  /** `--model`: an id, or the path of a GGUF file to load here. */
  readonly model?: string | undefined
  readonly localOnly?: boolean | undefined
  /** Embeddings are asked for, not answers. */
  readonly isEmbedding?: boolean | undefined
  /** `--wait`: milliseconds for a first worker to appear. */
  readonly waitMs?: number | undefined
  readonly spinner: Spinner
  readonly signal: AbortSignal
}

/** @throws QMeshError what starting a node may fail with, `QM_CANCELLED`, `QM_USAGE` for a model that nothing can be called */
export async function openMeshAccess(request: AccessRequest): Promise<MeshAccess> {
  const { loaded, model, localOnly = false, isEmbedding = false, spinner, signal } = request
  // A node that is just starting is stopped when it has started.
  signal.addEventListener('abort', () => spinner.text('stopping; Ctrl-C again ends it at once'))
  const config = quietConfig(loaded)
  const isPath = model !== undefined && isModelPath(model)
  if (model !== undefined && !isPath) checkModelId(model)
  const noWorkerHint = isEmbedding ? embeddingHint : undefined
  const running = isPath ? undefined : await findNodeToAsk(loaded)
  if (running) {
    const target = { ...(model !== undefined && { model }), ...(localOnly && { localOnly }) }
    const close = (): Promise<void> => Promise.resolve()
    return { port: running, isLasting: true, target, ...(noWorkerHint && { noWorkerHint }), close }
  }
  if (isPath || model === builtInModelId)
    return loadHere(request, withoutEngine({ ...config, models: [model] }))
  if (localOnly) return loadHere(request, config)
  // An answer from elsewhere is not wanted where the mesh is named; and the model that comes with the package only answers.
  const isNamed = isMeshNamed(loaded)
  if (model === undefined && !isEmbedding && !isNamed) return lookAround(request)
  const client = await openClient(request)
  const hint = noWorkerHint ?? (isNamed ? namedMeshHint : undefined)
  return { ...client, ...(hint && { noWorkerHint: hint }) }
}

/**
 * The node that runs on the data directory, unless something else is asked for than that node was started with: who
 * names a mesh, or those who may read the question, must not be answered past it.
 */
export async function findNodeToAsk(loaded: LoadedConfig): Promise<ControlClient | undefined> {
  const running = await findRunningNode(loaded.config.dataDir)
  if (!running) return undefined
  const flags = askingFlags(loaded)
  if (flags.length > 0) {
    note(`a node runs here; for ${flags.join(', ')} a client of its own asks instead of it`)
    return undefined
  }
  const elsewhere = await toOtherMesh(loaded, running)
  if (elsewhere.length > 0) {
    const where = elsewhere.map((key) => describeOrigin(loaded.origins[key])).join(' and ')
    note(
      `the node that runs here is in another mesh than ${where} says; a client of its own asks instead of it`,
    )
    return undefined
  }
  if (loaded.origins.logLevel.kind === 'flag') {
    note(
      '--log-level has no effect here: the node that runs on this machine asks, and writes a log of its own',
    )
  }
  return running
}

/** What is given here, in a file or a variable, and names another mesh than the one that a running node is in. */
async function toOtherMesh({ config, origins }: LoadedConfig, running: ControlClient): Promise<ConfigKey[]> {
  const given = (['secret', 'bootstrap'] as const).filter((key) => origins[key].kind !== 'default')
  const meeting = given.length > 0 ? await meetingOf(running) : undefined
  if (!meeting) return []
  const isOther = {
    secret: meeting.topic !== toMeshTopic(config.secret),
    bootstrap: !isDeepStrictEqual(meeting.bootstrap, config.bootstrap),
  }
  return given.filter((key) => isOther[key])
}

/** Undefined for a node of an earlier version, which does not say. */
async function meetingOf(running: ControlClient): Promise<Meeting | undefined> {
  try {
    return await running.meeting()
  } catch (error) {
    if (error instanceof QMeshError && error.code === 'QM_MESSAGE_INVALID') return undefined
    throw error
  }
}

function checkModelId(model: string): void {
  if (isModelId(model)) return
  throw new QMeshError(
    'QM_USAGE',
    `--model must be an id of lower case letters, digits, ".", "-" and "_", or the path of a GGUF file, but this is ` +
      `"${model}"; did you mean "${toModelId(model)}"?`,
  )
}

/** A node without models of its own. */
export async function openClient({
  loaded,
  model,
  signal,
}: Pick<AccessRequest, 'loaded' | 'model' | 'signal'>): Promise<MeshAccess> {
  const { createClient } = await import('../runtime/index.ts')
  const config = quietConfig(loaded)
  const client = await anyIdentity({ loaded, signal }, (other) => createClient({ ...config, ...other }))
  return { port: client, target: model === undefined ? {} : { model }, close: () => client.stop() }
}

/** A node that asks its own models and nobody else. */
async function loadHere(
  { loaded, model, isEmbedding = false, spinner, signal }: AccessRequest,
  config: Config,
): Promise<MeshAccess> {
  const { createNode } = await import('../runtime/index.ts')
  spinner.text('loading the model')
  const node = await anyIdentity({ loaded, signal }, (other) =>
    createNode({ ...config, serve: false, ...other }),
  )
  try {
    await orCancelled(node.ready, signal).catch((error: unknown) => {
      throw toFinalFailure(error)
    })
    const isId = model !== undefined && !isModelPath(model)
    const id = isId ? model : toLoaded(node.status().models, isEmbedding)
    if (id === undefined) {
      throw new QMeshError(
        'QM_NO_WORKERS',
        'no model is configured here, so nothing can answer; add --model FILE',
      )
    }
    return { port: node, target: { model: id, localOnly: true }, close: () => node.stop() }
  } catch (error) {
    await node.stop()
    throw error
  }
}

/** The first model of the right kind; where there is none, the one whose error says so. */
function toLoaded(models: NodeStatus['models'], isEmbedding: boolean): string | undefined {
  const fits = models.find(({ embeddingSize }) => (embeddingSize !== undefined) === isEmbedding)
  return (fits ?? models[0])?.id
}

/** Any model will do: the mesh's, or, when nobody is met in time, the small one that comes with the package. */
async function lookAround({ loaded, waitMs = meetWithinMs, signal }: AccessRequest): Promise<MeshAccess> {
  const { createNode } = await import('../runtime/index.ts')
  const config = withoutEngine(quietConfig(loaded))
  const node = await anyIdentity({ loaded, signal }, (other) =>
    createNode({ ...config, models: [builtInModelId], serve: false, ...other }),
  )
  try {
    const loading = node.ready.then(
      () => undefined,
      (error: unknown) => error,
    )
    const looked = Promise.all([meetWorker(node, waitMs), loading])
    const [isMet, failure] = await orCancelled(looked, signal)
    if (!isMet && failure) throw toFinalFailure(failure)
    const fallback = { workerId: node.id, hasMet: isMet }
    return { port: node, target: {}, fallback, close: () => node.stop() }
  } catch (error) {
    await node.stop()
    throw error
  }
}

/** Milliseconds to look for a worker before the built-in model answers, unless the command line says how long. */
const meetWithinMs = 2_500

/** Whether a worker with a model of its own was met within the time for it. */
function meetWorker(node: QMeshNode, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const check = (): void => {
      const isMet = node
        .workers()
        .some(
          ({ isLocal, accepting, models }) =>
            !isLocal &&
            accepting &&
            models.some(({ id, embeddingSize }) => id !== builtInModelId && embeddingSize === undefined),
        )
      if (isMet) done(true)
    }
    const done = (isMet: boolean): void => {
      clearTimeout(timer)
      node.off('workers', check)
      resolve(isMet)
    }
    const timer = setTimeout(() => done(false), withinMs)
    node.on('workers', check)
    check()
  })
}

/** With the identity of this machine where it can be had, so that its standing counts; else with one for the moment. */
async function anyIdentity<Node extends { stop(): Promise<void> }>(
  { loaded: { origins }, signal }: Pick<AccessRequest, 'loaded' | 'signal'>,
  create: (other: { ephemeral?: true; port?: 0 }) => Promise<Node>,
): Promise<Node> {
  let node: Node
  try {
    node = await create({})
  } catch (error) {
    if (!(error instanceof QMeshError)) throw error
    const { code, message } = error
    if (code !== 'QM_DATA_DIR_LOCKED' && code !== 'QM_DATA_DIR_UNUSABLE') throw error
    if (code === 'QM_DATA_DIR_UNUSABLE') note(`${message}; going on under an identity for this once`)
    // Whoever has the directory most likely has the port of the configuration too.
    node = await create({ ephemeral: true, ...(origins.port.kind !== 'flag' && { port: 0 }) })
  }
  if (!signal.aborted) return node
  await node.stop()
  throw new QMeshError('QM_CANCELLED')
}

async function orCancelled<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new QMeshError('QM_CANCELLED'))
    signal.addEventListener('abort', onAbort)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
