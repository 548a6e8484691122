import { setImmediate } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { encodeEmbeddings, fromTraceHeader, QMeshError, toNumbers } from '../../../protocol/index.ts'
import { AnswerError } from '../../request/answer.ts'
import type { Embeddings } from '../../request/embedder.ts'
import type { GatewayApp } from '../routes/gateway-app.ts'
import type { EmbeddingCall } from './embedding-request.ts'
import type { EmbeddingList } from './wire.ts'

/**
 * Has the mesh make the vectors, and sends them. A caller that hangs up cancels its requests, wherever they are.
 *
 * @throws QMeshError of the first request that fails
 */
export async function answerEmbedding(
  { port, meter, isDraining }: GatewayApp,
  reply: FastifyReply,
  { texts, options, isBase64 }: EmbeddingCall,
): Promise<FastifyReply> {
  if (isDraining()) throw new QMeshError('QM_NODE_STOPPED')
  const hangUp = new AbortController()
  reply.raw.once('close', () => hangUp.abort())
  // Gone while its body was read: nobody will tell again.
  if (reply.raw.destroyed) hangUp.abort()
  const traceparent = fromTraceHeader(reply.request.headers['traceparent'])
  const work = port.embed(texts, { ...options, signal: hangUp.signal, traceparent })
  meter.embedding(work)
  const embeddings = await work.catch((error: unknown) => {
    // Whoever failed can be asked why, too.
    if (error instanceof AnswerError) void reply.header('x-qmesh-request-id', error.requestId)
    return tellHowToServe(error)
  })
  const list = await toList(embeddings, isBase64, hangUp.signal)
  return reply.headers(toHeaders(embeddings)).type('application/json; charset=utf-8').send(list)
}

/** Nobody has such a model unless somebody fetched one: a node serves one that answers, without being told. */
function tellHowToServe(error: unknown): never {
  if (!(error instanceof QMeshError) || error.code !== 'QM_NO_WORKERS') throw error
  const { message, retryAfterMs } = error
  throw new QMeshError(
    error.code,
    `${message} "qmesh-node models pull all-minilm-l6-v2" fetches a model for embeddings, ` +
      '"qmesh-node up --model all-minilm-l6-v2" serves it.',
    { cause: error, ...(retryAfterMs !== undefined && { retryAfterMs }) },
  )
}

function toHeaders({ requests }: Embeddings): Record<string, string> {
  return {
    'x-qmesh-request-id': requests.map(({ requestId }) => requestId).join(', '),
    'x-qmesh-worker': [...new Set(requests.map(({ workerId }) => workerId))].join(', '),
  }
}

/**
 * An `EmbeddingList` as JSON, vector by vector: a million numbers as text take most of a second, and nobody else's token would
 * get through meanwhile.
 */
async function toList(
  { vectors, modelId, usage }: Embeddings,
  isBase64: boolean,
  signal: AbortSignal,
): Promise<string> {
  const data: string[] = []
  for (const [index, vector] of vectors.entries()) {
    const embedding = isBase64 ? encodeEmbeddings([vector]) : toNumbers(vector)
    data.push(
      JSON.stringify({ object: 'embedding', index, embedding } satisfies EmbeddingList['data'][number]),
    )
    await setImmediate()
    if (signal.aborted) throw new QMeshError('QM_CANCELLED')
  }
  const rest: Omit<EmbeddingList, 'data'> = {
    object: 'list',
    model: modelId,
    usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens },
  }
  return `${JSON.stringify(rest).slice(0, -1)},"data":[${data.join()}]}`
}
