import { expect, it } from 'vitest'
import { createFreshFolder } from './support/fresh-folder.ts'

it('two-nodes.sh: a worker answers, dies, and the other one answers', { timeout: 180_000 }, async () => {
  const folder = await createFreshFolder('two-nodes.sh')
  const { code, stdout } = await folder.run('sh', ['two-nodes.sh'], { QMESH_GPU_LAYERS: '0' })
  expect(code).toBe(0)
  const workers = Array.from(stdout.matchAll(/^([0-9a-f]{12})… +small /gm), ([, id]) => id)
  expect(workers).toHaveLength(2)
  const [first, second] = Array.from(stdout.matchAll(/ · small on ([0-9a-f]{12})…$/gm), ([, id]) => id)
  expect(stdout).toContain(`worker ${first} is killed`)
  expect(new Set([first, second])).toEqual(new Set(workers))
  expect(stdout.match(/^(?=.*mesh).*$/gim)?.length).toBeGreaterThanOrEqual(2)
})
