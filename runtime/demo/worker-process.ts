import { rmSync } from 'node:fs'
import type { WorkerOrder, WorkerReport } from './worker-order.ts'

/**
 * Entry of a worker's process. It ends with the demo however the demo ends, also by `kill -9`, and then nobody else is
 * left to remove the folder. There is nothing in it that an orderly stop would have to save.
 */
let root: string | undefined
function leave(): void {
  try {
    if (root !== undefined) rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  } finally {
    process.kill(process.pid, 'SIGKILL')
  }
}

const report = (news: WorkerReport): void => void process.send?.(news)

async function start(order: WorkerOrder): Promise<void> {
  root = order.root
  if (order.kind === 'honest') {
    const { startHonestWorker } = await import('./honest-worker.ts')
    report({ type: 'ready', id: await startHonestWorker(order) })
  } else {
    const { startHostileWorker } = await import('./hostile-worker.ts')
    const id = await startHostileWorker(order, (requests) => report({ type: 'asked', requests }))
    report({ type: 'ready', id })
  }
}

// Listening comes before everything that takes time: the demo may be gone by then.
process.once('disconnect', leave)
// Ctrl-C reaches the whole group; the demo decides what it means.
process.on('SIGINT', () => undefined)
process.once('message', (order: WorkerOrder) => {
  start(order).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  })
})
if (!process.connected) leave()
