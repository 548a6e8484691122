import { QMeshError, toQMeshError } from '../../protocol/index.ts'
import { defaultDataDir } from '../config/paths.ts'
import { createControlAnswer } from './client-answer.ts'
import { readEmbeddings } from './commands/embed.ts'
import type { ControlCommandName } from './commands/index.ts'
import type { ControlPort } from './control.port.ts'
import { open, parseResult, request, type ArgsOf, type ResultOf } from './request.ts'
import { checkSocketFolder, toSocketPath } from './socket-path.ts'

/** A running node, reached through the control socket in its data directory. Every call is a connection of its own. */
export interface ControlClient extends ControlPort {
  call<Name extends ControlCommandName>(
    name: Name,
    args: ArgsOf<Name>,
    signal?: AbortSignal,
  ): Promise<ResultOf<Name>>
}

/**
 * The node running on a data directory, or `undefined` when none answers there.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE` when the socket cannot be trusted or reached
 */
export async function findRunningNode(dataDir: string): Promise<ControlClient | undefined> {
  const where = toSocketPath(dataDir)
  try {
    await checkSocketFolder(where)
    const probe = await open(where.path)
    probe.destroy()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ENOTSOCK'].includes(code)) return undefined
    throw toQMeshError(error, 'QM_DATA_DIR_UNUSABLE')
  }
  return createControlClient(where.path)
}

/** @throws QMeshError `QM_NODE_NOT_RUNNING` */
export async function requireRunningNode(dataDir: string): Promise<ControlClient> {
  const node = await findRunningNode(dataDir)
  if (node) return node
  const where = dataDir === defaultDataDir() ? '' : ` --data-dir ${dataDir}`
  throw new QMeshError(
    'QM_NODE_NOT_RUNNING',
    `no node is running on ${dataDir}; start one with: qmesh-node up${where}`,
  )
}

export function createControlClient(path: string): ControlClient {
  const call: ControlClient['call'] = async (name, args, signal) => {
    for await (const reply of request(path, name, args, signal)) {
      if (reply.type === 'result') return parseResult(name, reply.value)
    }
    throw new QMeshError('QM_NODE_STOPPED', 'the node stopped before it answered')
  }
  return {
    call,
    status: () => call('status', {}),
    workers: () => call('workers', {}),
    requests: () => call('requests', {}),
    why: (requestId, { replay } = {}) => call('why', { requestId, replay }),
    meeting: () => call('meeting', {}),
    drain: () => call('drain', {}),
    resume: () => call('resume', {}),
    scores: () => call('scores', {}),
    whyScore: (id, last) => call('why-score', { id, last }),
    credit: (last) => call('credit', { last }),
    embed: (texts, { signal, ...options }) =>
      readEmbeddings(request(path, 'embed', { texts, ...options }, signal), (value) =>
        parseResult('embed', value),
      ),
    ask: (messages, { signal, jsonSchema, ...options }) => {
      const args = {
        messages,
        ...options,
        jsonSchema: typeof jsonSchema === 'object' ? JSON.stringify(jsonSchema) : jsonSchema,
      }
      return createControlAnswer((stop) => request(path, 'ask', args, stop), signal)
    },
  }
}
