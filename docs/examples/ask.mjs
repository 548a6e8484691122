// A question to the mesh from a program of yours, with no server between: `npm install qmesh`, then `node ask.mjs`.
// It goes to the mesh of your configuration, as `npx qmesh-node config` shows it; `npx qmesh-node up` adds a worker to it.
import { createClient, loadConfig } from 'qmesh'

const { config } = await loadConfig()
const client = await createClient({ ...config, ephemeral: true, logLevel: 'warn' })
try {
  const answer = client.ask(process.argv[2] ?? 'What is QMesh?', { maxTokens: 200 })
  for await (const { text } of answer) process.stdout.write(text)
  const { modelId, workerId } = await answer.result
  console.log(`\n(${modelId}, worker ${workerId.slice(0, 8)})`)
} catch (error) {
  // QM_NO_WORKERS: nobody was met. This program is a peer of its own, and meets your node over the mesh like any other.
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = 1
} finally {
  await client.stop()
}
