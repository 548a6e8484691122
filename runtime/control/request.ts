import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { z } from 'zod'
import { encodeFrame, FrameDecoder, QMeshError } from '../../protocol/index.ts'
import { controlCommands, type ControlCommandName } from './commands/index.ts'
import { controlVersion, replySchema, type Reply } from './messages.ts'

type Commands = typeof controlCommands
export type ArgsOf<Name extends ControlCommandName> = z.input<Commands[Name]['args']>
export type ResultOf<Name extends ControlCommandName> = z.output<Commands[Name]['result']>

/** The replies to one command. Leaving the loop closes the connection, which cancels the command. */
export type Replies = AsyncGenerator<Reply, void, undefined>

/** Checks what a node answered: it may be of another version. */
export function parseResult<Name extends ControlCommandName>(name: Name, value: unknown): ResultOf<Name> {
  const parsed = controlCommands[name].result.safeParse(value)
  if (parsed.success) return parsed.data as ResultOf<Name>
  throw new QMeshError(
    'QM_PROTOCOL_VERSION',
    `the running node answered "${name}" in a way this version does not understand`,
  )
}

/** Sends one command and yields what comes back; an error reply is thrown. */
export async function* request(path: string, command: string, args: unknown, signal?: AbortSignal): Replies {
  const frame = toFrame({ version: controlVersion, command, args })
  if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
  const socket = await open(path).catch((error: unknown) => {
    throw new QMeshError('QM_NODE_NOT_RUNNING', 'the node has stopped', { cause: error })
  })
  const abort = (): void => void socket.destroy()
  signal?.addEventListener('abort', abort)
  try {
    socket.write(frame)
    const decoder = new FrameDecoder()
    for await (const chunk of socket) {
      for (const decoded of decoder.push(chunk as Buffer)) {
        const parsed = replySchema.safeParse(decoded.ok ? decoded.value : undefined)
        if (!parsed.success)
          throw new QMeshError('QM_PROTOCOL_VERSION', 'the running node sent something else than a reply')
        if (parsed.data.type === 'error') throw toError(parsed.data)
        yield parsed.data
      }
    }
  } catch (error) {
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED', undefined, { cause: error })
    throw error instanceof QMeshError
      ? error
      : new QMeshError('QM_NODE_STOPPED', 'the node stopped before it answered', { cause: error })
  } finally {
    signal?.removeEventListener('abort', abort)
    socket.destroy()
  }
  if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
}

function toFrame(message: object): Buffer {
  try {
    return encodeFrame(message)
  } catch (error) {
    throw new QMeshError(
      'QM_REQUEST_INVALID',
      `this is too long for one call of the running node: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
}

const toError = ({ code, message, retryAfterMs }: Extract<Reply, { type: 'error' }>): QMeshError =>
  new QMeshError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs })

/** Connects, or rejects with what the system said. */
export async function open(path: string): Promise<Socket> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}
