// A web service of yours with the mesh inside: it asks the mesh, serves a model to it, and shows its actors.
//
//   npm install qmesh fastify
//   node fastify-service.mjs
//   curl 'http://127.0.0.1:3000/ask?q=What+is+QMesh%3F'
//   curl -N 'http://127.0.0.1:3000/stream?q=Who+are+you%3F'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { createNode, loadConfig, QMeshError } from 'qmesh'
import { inspect } from 'qmesh/inspect'

const { config } = await loadConfig()
// A node of its own, with a folder of its own: it can run beside `qmesh-node up`.
const node = await createNode({ ...config, dataDir: './qmesh-data', logLevel: 'warn', gateway: false })
await node.ready
const machines = await inspect(node.actor)

const app = Fastify()
const querystring = {
  type: 'object',
  properties: { q: { type: 'string', minLength: 1, maxLength: 10_000 } },
  required: ['q'],
}

// A caller that hangs up stops the worker, wherever in the mesh that is.
function question(request, reply) {
  const caller = new AbortController()
  reply.raw.once('close', () => caller.abort())
  return node.ask(request.query.q, { maxTokens: 200, signal: caller.signal })
}

app.get('/ask', { schema: { querystring } }, async (request, reply) => {
  const { text, modelId, workerId, requestId } = await question(request, reply).result
  return { text, modelId, workerId, requestId }
})

// The answer as it is written. A slow reader slows its own answer, nobody else's.
app.get('/stream', { schema: { querystring } }, (request, reply) => {
  const texts = async function* () {
    for await (const { text } of question(request, reply)) yield text
  }
  return reply.type('text/plain; charset=utf-8').send(Readable.from(texts()))
})

app.get('/why/:id', (request) => node.why(request.params.id))
app.get('/status', () => node.status())
// The statecharts of the node at work. They are shown on this machine only, as `inspect` listens there.
app.get('/machines', (_, reply) => reply.redirect(machines.url))

app.setErrorHandler((error, _, reply) => {
  if (!(error instanceof QMeshError)) return reply.send(error)
  if (error.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterMs / 1_000))
  const status = error.code === 'QM_REQUEST_UNKNOWN' ? 404 : error.blame === 'client' ? 400 : 503
  return reply.code(status).type('application/json').send({ code: error.code, message: error.message })
})

// First nobody new, then the answers that run, then the node: what it does for others moves to other workers.
app.addHook('onClose', async () => {
  await machines.close()
  await node.stop()
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void app.close())

console.log(`listening on ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`)
