import type { FastifyReply } from 'fastify'
import { fromTraceHeader, QMeshError } from '../../protocol/index.ts'
import type { AnswerResult } from '../request/answer.ts'
import { AnswerSet } from './answer-set.ts'
import type { Call } from './call.ts'
import type { GatewayApp } from './routes/gateway-app.ts'
import { sendStream, type StreamFormat } from './sse.ts'

/** How an API writes the answers of one call. */
export interface CallFormat {
  /** @param id of the first request in the mesh */
  whole(id: string, results: readonly AnswerResult[]): object
  /** @param promptTokens as a worker counted them; 0 when none has yet */
  stream(id: string, model: string, promptTokens: number): StreamFormat
}

/**
 * The core of every API: asks the mesh, and sends what comes, at once or as a stream. A caller that hangs up cancels its
 * requests, wherever they are.
 *
 * @throws QMeshError of the first answer that fails, while nothing was sent
 */
export async function answerCall(
  { port, meter, limits, isDraining }: GatewayApp,
  reply: FastifyReply,
  call: Call,
  format: CallFormat,
): Promise<FastifyReply> {
  if (isDraining()) throw new QMeshError('QM_NODE_STOPPED')
  const set = new AnswerSet(port, call, meter, fromTraceHeader(reply.request.headers['traceparent']))
  const onClose = (): void => set.abort()
  reply.raw.once('close', onClose)
  // Gone while its body was read: nobody will tell again.
  if (reply.raw.destroyed) onClose()
  const id = set.answers[0]?.requestId ?? ''
  try {
    if (call.isStreamed) {
      const create = (): StreamFormat => format.stream(id, set.modelId ?? call.model, set.promptTokens)
      return await sendStream(reply, set, create, limits.heartbeatMs)
    }
    const results = await set.results()
    return await reply.headers(set.headers).send(format.whole(id, results))
  } catch (error) {
    // Whoever failed can be asked why, too.
    void reply.headers(set.headers)
    throw error
  }
}

/** The one result of a call that asks for one. */
export function onlyResult([result]: readonly AnswerResult[]): AnswerResult {
  if (result) return result
  throw new QMeshError('QM_INTERNAL', 'a call without an answer')
}
