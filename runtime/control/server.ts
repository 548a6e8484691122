import { chmod, lstat, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { FrameDecoder, QMeshError, toQMeshError } from '../../protocol/index.ts'
import type { ControlCommand } from './command.ts'
import { controlCommands } from './commands/index.ts'
import type { ControlPort } from './control.port.ts'
import {
  controlConnectionsMax,
  controlDrainTimeoutMs,
  controlRefusalsMax,
  controlRequestTimeoutMs,
  controlVersion,
  requestSchema,
  type Request,
} from './messages.ts'
import { ReplyWriter } from './reply-writer.ts'
import { secureSocketFolder, toSocketPath } from './socket-path.ts'

export interface ControlServerOptions {
  readonly dataDir: string
  readonly port: ControlPort
  /** A defect, not a client's mistake. */
  readonly onError?: (error: Error) => void
  /** Milliseconds; shorter in tests. */
  readonly requestTimeoutMs?: number
  /** Milliseconds; shorter in tests. */
  readonly drainTimeoutMs?: number
}

export interface ControlServer {
  readonly path: string
  /** Ends every command and removes the socket. */
  close(): Promise<void>
}

/**
 * Listens for commands of this user on this machine. The caller holds the lock of the data directory, so a socket
 * that is already there was left by a node that died.
 *
 * @throws QMeshError `QM_DATA_DIR_UNUSABLE`
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { dataDir, port, onError = () => undefined } = options
  const timeouts = {
    requestMs: options.requestTimeoutMs ?? controlRequestTimeoutMs,
    drainMs: options.drainTimeoutMs ?? controlDrainTimeoutMs,
  }
  const sockets = new Set<Socket>()
  let served = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    if (served >= controlConnectionsMax) return turnAway(socket, timeouts)
    served++
    socket.once('close', () => served--)
    void serve(socket, port, timeouts).catch(onError)
  })
  server.maxConnections = controlConnectionsMax + controlRefusalsMax
  const where = toSocketPath(dataDir)
  try {
    await secureSocketFolder(where)
    await removeLeftover(where.path)
    await listen(server, where.path)
  } catch (error) {
    throw toQMeshError(error, 'QM_DATA_DIR_UNUSABLE')
  }
  server.on('error', onError)
  return {
    path: where.path,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

async function listen(server: Server, path: string): Promise<void> {
  server.listen(path)
  await once(server, 'listening')
  if (process.platform !== 'win32') await chmod(path, 0o600)
}

async function removeLeftover(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const found = await lstat(path).catch(() => undefined)
  // Only a socket: a file somebody put there is for them to remove, and listening will say so.
  if (found?.isSocket()) await rm(path, { force: true })
}

interface Timeouts {
  readonly requestMs: number
  readonly drainMs: number
}

/** Without a word it would look as if the node had stopped. */
function turnAway(socket: Socket, { drainMs }: Timeouts): void {
  const message = `the running node works on ${controlConnectionsMax} commands of this machine at once, and has as many; try again when one of them is done`
  socket.resume()
  new ReplyWriter(socket, drainMs, () => undefined).end({
    type: 'error',
    code: 'QM_TOO_MANY_REQUESTS',
    message,
  })
}

/** One connection, one command. Whatever the other end sends, this ends it and does not throw, short of a defect. */
async function serve(socket: Socket, port: ControlPort, timeouts: Timeouts): Promise<void> {
  const abort = new AbortController()
  socket.once('close', () => abort.abort())
  const replies = new ReplyWriter(socket, timeouts.drainMs, (reason) => abort.abort(reason))
  try {
    const { command, args } = toCommand(await readRequest(socket, timeouts.requestMs))
    const send = replies.write.bind(replies)
    const value: unknown = await command.run({ port, signal: abort.signal, send }, args)
    await send({ type: 'result', value })
    replies.end()
  } catch (error) {
    const failure = replies.givenUp ?? toQMeshError(error)
    const { code, retryAfterMs } = failure
    const message = failure.message.slice(0, 4_096)
    replies.end({ type: 'error', code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) })
    if (code === 'QM_INTERNAL' && !abort.signal.aborted) throw error
  }
}

function toCommand({ version, command: name, args }: Request) {
  if (version !== controlVersion) {
    throw new QMeshError(
      'QM_PROTOCOL_VERSION',
      `the running node speaks version ${controlVersion} of the control protocol, not ${version}; use the same version of qmesh-node for both`,
    )
  }
  const command = Object.hasOwn(controlCommands, name)
    ? (controlCommands as Record<string, ControlCommand | undefined>)[name]
    : undefined
  if (!command) throw new QMeshError('QM_MESSAGE_INVALID', `the running node knows no command "${name}"`)
  const parsed = command.args.safeParse(args ?? {})
  if (parsed.success) return { command, args: parsed.data }
  const issue = parsed.error.issues[0]
  throw new QMeshError('QM_REQUEST_INVALID', `${name}: ${issue?.path.join('.')}: ${issue?.message}`)
}

async function readRequest(socket: Socket, timeoutMs: number): Promise<Request> {
  const decoder = new FrameDecoder()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      settle(() => reject(new QMeshError('QM_HELLO_TIMEOUT', 'no request came in time')))
    }, timeoutMs)
    const settle = (finish: () => void): void => {
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('close', onClose)
      // The other end has nothing more to say; without reading, its going away would not be seen.
      socket.on('data', () => socket.destroy())
      finish()
    }
    const onClose = (): void => settle(() => reject(new QMeshError('QM_CANCELLED')))
    const onData = (chunk: Buffer): void => {
      const [frame, ...rest] = decoder.push(chunk)
      if (!frame) return
      const parsed = requestSchema.safeParse(frame.ok ? frame.value : undefined)
      if (!frame.ok) settle(() => reject(new QMeshError(frame.code)))
      else if (!parsed.success || rest.length > 0) settle(() => reject(new QMeshError('QM_MESSAGE_INVALID')))
      else settle(() => resolve(parsed.data))
    }
    socket.on('data', onData)
    socket.once('close', onClose)
  })
}
