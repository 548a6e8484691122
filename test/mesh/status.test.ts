import { expect, it } from 'vitest'
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
