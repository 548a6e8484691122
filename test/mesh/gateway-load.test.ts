import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import type { QMeshNode } from '../../runtime/index.ts'
import { streamChat } from '../support/sse-client.ts'
import { createTestMesh } from './support/mesh.ts'

const questions = ['What is QMesh?', 'Who are you?', 'Tell me a story.', 'What is a worker?', 'Hello!']
const wave = { finishing: 160, leavingTheQueue: 60, leavingTheAnswer: 30 }

const toBody = (question: string) => ({
  model: 'nano',
  temperature: 0,
  max_tokens: 12,
  messages: [{ role: 'user', content: question }],
})

/** One that would hold its slot for seconds if nobody noticed that its caller has left. */
const toLongBody = (question: string) => ({
  ...toBody(question),
  max_tokens: 500,
  response_format: {
    type: 'json_schema',
    json_schema: { name: 'long', schema: { type: 'array', items: { enum: ['fox', 'owl'] }, minItems: 300 } },
  },
})

const hasPlace = (comment: string): boolean => comment.startsWith('place in the queue: ')

/** Hundreds of callers at the same moment: some stay, some leave while they wait, some in the middle of their answer. */
async function createWave(url: string, expected: ReadonlyMap<string, string>): Promise<void> {
  const of = (index: number): string => questions[index % questions.length] ?? ''
  const many = <Value>(count: number, call: (question: string) => Value): Value[] =>
    Array.from({ length: count }, (_, index) => call(of(index)))
  const [finished, leftQueue, leftAnswer] = await Promise.all([
    Promise.all(
      many(wave.finishing, async (question) => ({
        question,
        stream: await streamChat(url, toBody(question)),
      })),
    ),
    Promise.all(
      many(wave.leavingTheQueue, (question) =>
        streamChat(url, toLongBody(question), {
          isLeaving: ({ comments, text }) => comments.some(hasPlace) || text !== '',
        }),
      ),
    ),
    Promise.all(
      many(wave.leavingTheAnswer, (question) =>
        streamChat(url, toLongBody(question), { isLeaving: ({ text }) => text !== '' }),
      ),
    ),
  ])
  // Each one's answer is its own, and whole.
  for (const { question, stream } of finished) {
    expect(stream).toMatchObject({ status: 200, isDone: true, text: expected.get(question) })
  }
  // Not all are told a place: one that finds a free slot has none, and how many do is the computer's business.
  expect(finished.filter(({ stream }) => stream.comments.some(hasPlace)).length).toBeGreaterThan(
    wave.finishing / 4,
  )
  expect(leftQueue.filter(({ text }) => text === '').length).toBeGreaterThan(wave.leavingTheQueue / 4)
  expect(leftAnswer.every(({ isDone }) => !isDone)).toBe(true)
}

/** How many answers of the gateway ended like this. */
async function ended(url: string, outcome: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text()
  const counts = metrics.matchAll(
    new RegExp(`^qmesh_requests_total\\{outcome="${outcome}",.*\\} (\\d+)$`, 'gm'),
  )
  return Array.from(counts, ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0)
}

/** Nothing waits, nothing runs, and nobody is connected any more. */
async function untilIdle(node: QMeshNode, url: string): Promise<void> {
  await expect
    .poll(async () => {
      const metrics = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text()
      const { length, slotsBusy } = node.status().queue
      return [length, slotsBusy, /^qmesh_requests_open (\d+)$/m.exec(metrics)?.[1]]
    })
    .toEqual([0, 0, '0'])
}

/** Sockets and timers that keep a process alive. */
const handles = (): number =>
  process.getActiveResourcesInfo().filter((kind) => /^TCP|^Timeout$|^Immediate$/.test(kind)).length

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

async function heldBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

it('hundreds of streams on one gateway wait their turn: none is mixed up, and nothing is left of those who leave', async () => {
  const mesh = await createTestMesh()
  const options = { models: undefined, slots: 4, gateway: true, gatewayPort: 0 } as const
  const node = await mesh.worker(options)
  const url = node.status().gateway?.url ?? ''
  const expected = new Map<string, string>()
  for (const question of questions) {
    const answer = await streamChat(url, toBody(question))
    expect(answer).toMatchObject({ status: 200, isDone: true, text: expect.stringMatching(/./) as string })
    expected.set(question, answer.text)
  }
  expect(new Set(expected.values()).size).toBe(questions.length)
  await untilIdle(node, url)
  const handlesBefore = handles()

  await createWave(url, expected)
  await untilIdle(node, url)
  // What is kept of the latest requests, and what the first of many bring with them, is kept by now.
  const heldBefore = await heldBytes()
  await createWave(url, expected)
  await untilIdle(node, url)
  expect((await heldBytes()) - heldBefore).toBeLessThan(4 * 1024 * 1024)
  await expect.poll(handles).toBeLessThan(handlesBefore + 10)
  expect(await ended(url, 'answered')).toBe(2 * wave.finishing + questions.length)
  expect(await ended(url, 'cancelled')).toBe(2 * (wave.leavingTheQueue + wave.leavingTheAnswer))
  // And it answers as before.
  expect((await streamChat(url, toBody('Hello!'))).text).toBe(expected.get('Hello!'))
})
