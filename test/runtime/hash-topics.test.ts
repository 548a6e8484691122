import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { inferenceNetwork, toTopic } from '../../protocol/index.ts'
import { HashTopics } from '../../runtime/hash-topics.ts'

const secret = 'of this mesh'
const hash = (index: number): string => index.toString(16).padStart(64, '0')
const topicOf = (index: number): string =>
  toTopic({ network: inferenceNetwork, secret, modelId: hash(index) }).toString('hex')

function createRig() {
  const joined = new Set<string>()
  const found = new Set<string>()
  const topics = new HashTopics({
    secret,
    join: (topic, { isFound }) => {
      const name = topic.toString('hex')
      expect(joined.has(name)).toBe(false)
      joined.add(name)
      if (isFound) found.add(name)
      return () => {
        joined.delete(name)
        found.delete(name)
      }
    },
  })
  return { topics, joined, found }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('what is served is announced by its hash, and no longer when it is not', () => {
  const { topics, joined } = createRig()
  topics.announce([hash(1), hash(2), hash(1)])
  topics.announce([hash(2), hash(3)])
  expect(joined).toEqual(new Set([topicOf(2), topicOf(3)]))
  topics.close()
  expect(joined.size).toBe(0)
})

it('a node that stops is not announced again, whatever it still says', () => {
  const { topics, joined } = createRig()
  topics.announce([hash(1)])
  topics.close()
  topics.announce([hash(1)])
  topics.seek(hash(2))
  expect(joined.size).toBe(0)
})

it('who only looks is not found, and who begins to serve the same is', () => {
  const { topics, joined, found } = createRig()
  topics.seek(hash(1))
  expect([joined.size, found.size]).toEqual([1, 0])
  topics.announce([hash(1)])
  expect([...found]).toEqual([topicOf(1)])
})

it('what is asked for is looked for until a while after the last question', () => {
  const { topics, joined } = createRig()
  topics.seek(hash(1))
  vi.advanceTimersByTime(50_000)
  topics.seek(hash(1))
  vi.advanceTimersByTime(50_000)
  expect(joined).toEqual(new Set([topicOf(1)]))
  vi.advanceTimersByTime(10_000)
  expect(joined.size).toBe(0)
})

it('looks under so many topics at most, and under none that it serves', () => {
  const { topics, joined } = createRig()
  topics.announce([hash(100)])
  topics.seek(hash(100))
  for (let index = 0; index < 30; index++) topics.seek(hash(index))
  expect(joined.size).toBe(17)
  expect(joined).toContain(topicOf(29))
  expect(joined).not.toContain(topicOf(0))
  // One that is fetched and served from now on is announced all the same.
  topics.announce([hash(100), hash(29)])
  vi.advanceTimersByTime(60_000)
  expect(joined).toEqual(new Set([topicOf(100), topicOf(29)]))
})
