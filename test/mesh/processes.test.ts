import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { createTestMesh, type TestMesh } from './support/mesh.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

interface Up {
  readonly child: ChildProcess
  readonly id: string
}

/** A worker in a process of its own. */
async function forkWorker(mesh: TestMesh): Promise<Up> {
  const child = fork(
    new URL('support/worker-process.ts', import.meta.url),
    [mesh.modelPath, await mesh.tempDir(), mesh.secret, ...mesh.bootstrap],
    { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
  )
  children.push(child)
  const [id] = (await once(child, 'message')) as [string]
  return { child, id }
}

describe('nodes in processes of their own', () => {
  it('answer each other, and end by themselves when they are told to stop', async () => {
    const mesh = await createTestMesh()
    const [first, second] = await Promise.all([forkWorker(mesh), forkWorker(mesh)])
    const client = await mesh.client()
    await expect.poll(() => client.workers().length).toBe(2)
    const results = await Promise.all(
      [1, 2, 3, 4].map((seed) => client.ask('across processes', { maxTokens: 16, seed }).result),
    )
    for (const { workerId } of results) expect([first.id, second.id]).toContain(workerId)
    // Nothing may keep the process alive once the node has stopped: it ends without being made to.
    const exits = [first, second].map(async ({ child }) => {
      const exited = once(child, 'exit')
      child.send('stop')
      return (await exited)[0] as number
    })
    expect(await Promise.all(exits)).toEqual([0, 0])
  })

  it('a stream survives the death of its worker, and is the one it would have been', async () => {
    const mesh = await createTestMesh()
    const workers = await Promise.all([forkWorker(mesh), forkWorker(mesh)])
    const client = await mesh.client()
    await expect.poll(() => client.workers().length).toBe(2)
    const asked = { maxTokens: 400, temperature: 0, resume: 'exact' } as const
    const whole = await client.ask('about to die', asked).result
    const answer = client.ask('about to die', asked)
    let served: string | undefined
    answer.on('worker', ({ workerId }) => {
      served ??= workerId
    })
    const tokens: number[] = []
    for await (const chunk of answer) {
      tokens.push(...chunk.tokens)
      const serving = workers.find(({ id }) => id === served)
      if (tokens.length > 40 && serving?.child.killed === false) serving.child.kill('SIGKILL')
    }
    const { text, usage, handovers, attempts } = await answer.result
    expect(text).toBe(whole.text)
    expect(tokens).toHaveLength(400)
    expect(usage.completionTokens).toBe(400)
    const other = workers.find(({ id }) => id !== served)?.id
    expect(handovers).toMatchObject([{ from: served, to: other, code: 'QM_WORKER_LOST' }])
    expect(attempts.reduce((sum, attempt) => sum + attempt.tokens, 0)).toBe(400)
  })

  it('a worker that is killed with no other to go on fails the stream with its code and the text so far', async () => {
    const mesh = await createTestMesh()
    const { child } = await forkWorker(mesh)
    const client = await mesh.client()
    // The two seconds are for finding another one; this one is to be met first, however busy the machine is.
    await expect.poll(() => client.workers().length, { timeout: 30_000 }).toBe(1)
    const answer = client.ask('about to die', { maxTokens: 400, temperature: 0, discoverMs: 2_000 })
    let text = ''
    const reading = (async () => {
      for await (const chunk of answer) {
        text += chunk.text
        child.kill('SIGKILL')
      }
    })()
    await expect(reading).rejects.toMatchObject({
      code: expect.stringMatching(/^QM_WORKER_(LOST|STALLED)$/),
      partial: expect.stringContaining(text),
    })
  })
})
