import { expect, it } from 'vitest'
import { requireRunningNode } from '../../runtime/control/index.ts'
import { toMeshTopic } from '../../runtime/mesh-topic.ts'
import { createTestMesh } from './support/mesh.ts'

it('a worker says its slots with its model, not a second later', async () => {
  const mesh = await createTestMesh()
  // Ready means that the model was announced, and the next regular word is a second away.
  const worker = await mesh.worker()
  const said = () => worker.workers().find(({ isLocal }) => isLocal)?.slots
  const saidWhenCounted = new Promise((resolve) => {
    const look = (): void => {
      if (worker.status().queue.slots === 2) resolve(said())
    }
    worker.on('queue', look)
    look()
  })
  expect(await saidWhenCounted).toBe(2)
})

it('how a private mesh is found is told on the socket of the owner, and nowhere else', async () => {
  const mesh = await createTestMesh()
  const dataDir = await mesh.tempDir()
  const node = await mesh.client({ dataDir, control: true, gateway: true, gatewayPort: 0 })
  const running = await requireRunningNode(dataDir)
  const topic = toMeshTopic(mesh.secret)
  expect(await running.meeting()).toEqual({ topic, bootstrap: mesh.bootstrap })
  const { gateway } = node.status()
  const replies = await Promise.all(
    ['/v1/mesh', '/machines/tree', '/metrics'].map((path) => fetch(`${gateway?.url}${path}`)),
  )
  const told = await Promise.all(replies.map((reply) => reply.text()))
  told.push(JSON.stringify(node.status()), JSON.stringify(await running.status()))
  for (const text of told) {
    expect(text).not.toBe('')
    expect(text).not.toContain(topic)
  }
})
