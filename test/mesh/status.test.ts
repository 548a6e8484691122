import { expect, it } from 'vitest'
import { createTestMesh } from './support/mesh.ts'

it('a worker says its slots with its model, not a second later', async () => {
  const mesh = await createTestMesh()
  // Ready means that the model was announced, and the next regular word is a second away.
  const worker = await mesh.worker()
  const slots = () => worker.workers().find(({ isLocal }) => isLocal)?.slots
  await expect.poll(slots, { timeout: 600, interval: 10 }).toBe(2)
})
