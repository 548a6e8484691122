import { setImmediate as turn } from 'node:timers/promises'
import type { NoiseStream } from 'hyperswarm'
import { afterEach, describe, expect, it } from 'vitest'
import { InferenceChannel } from '../../../../actors/peer/inference-channel.ts'
import { ScoresChannel } from '../../../../actors/trust/gossip/scores-channel.ts'
import type { ScoresMessage } from '../../../../protocol/messages/scores.ts'
import { withResolvers } from '../../../support/with-resolvers.ts'
import { createClock, helloWith, makeKeys } from './gossip-rig.ts'
import { createNoisePair } from './noise-pair.ts'

const clock = createClock()
let end = (): void => {}
afterEach(() => end())

interface Side {
  readonly stream: NoiseStream
  readonly said: ScoresMessage[]
  readonly inference: InferenceChannel
  readonly scores: Promise<ScoresChannel>
  readonly isClosed: () => boolean
}

/** @param whenGreeted creates the scores channel at once, or later */
function createSide(stream: NoiseStream, whenGreeted = (create: () => void): void => create()): Side {
  const said: ScoresMessage[] = []
  const scores = withResolvers<ScoresChannel>()
  let isClosed = false
  const create = (): void =>
    scores.resolve(
      new ScoresChannel(
        { stream, now: clock.now },
        {
          received: (message) => said.push(message),
          violated: (code) => {
            throw new Error(code)
          },
          closed: () => (isClosed = true),
        },
      ),
    )
  const inference = new InferenceChannel(
    { stream, hello: helloWith([]), now: clock.now },
    {
      greeted: () => whenGreeted(create),
      received: () => 'ok',
      violated: () => {},
      broken: () => {},
      closed: () => {},
    },
  )
  return { stream, said, inference, scores: scores.promise, isClosed: () => isClosed }
}

const connect = async (bWhenGreeted?: (create: () => void) => void) => {
  const pair = await createNoisePair(makeKeys(1), makeKeys(2))
  end = () => pair.destroy()
  return { a: createSide(pair.a), b: createSide(pair.b, bWhenGreeted) }
}

const regime = { type: 'regime', regime: 'storm' } as const
const turns = async (): Promise<void> => {
  for (let count = 0; count < 30; count++) await turn()
}

describe('pairing of the scores channel', () => {
  it('succeeds when both sides create it as they greet, and nothing said at once is lost', async () => {
    const { a, b } = await connect()
    // Said before the other side can have answered the request to open.
    const [aScores, bScores] = await Promise.all([a.scores, b.scores])
    aScores.send(regime)
    bScores.send(regime)
    await turns()
    expect([a.said, b.said]).toEqual([[regime], [regime]])
    expect([a.isClosed(), b.isClosed()]).toEqual([false, false])
  })

  it('fails without harm when one side is late', async () => {
    const { a, b } = await connect((create) => void turns().then(create))
    const [aScores, bScores] = await Promise.all([a.scores, b.scores])
    await turns()
    expect([aScores.isOpen, a.isClosed()]).toEqual([false, true])
    expect(aScores.send(regime)).toBe(false)
    expect([bScores.isOpen, b.isClosed()]).toEqual([false, true])
    expect([a.inference.isOpen, b.inference.isOpen]).toEqual([true, true])
  })

  it('ends alone: the inference network stays', async () => {
    const { a, b } = await connect()
    const [aScores, bScores] = await Promise.all([a.scores, b.scores])
    await turns()
    aScores.close()
    await turns()
    expect([aScores.isOpen, bScores.isOpen, b.isClosed()]).toEqual([false, false, true])
    expect([a.inference.isOpen, b.inference.isOpen]).toEqual([true, true])
    bScores.close()
  })

  it('is closed from the start on a stream that is gone', async () => {
    const pair = await createNoisePair(makeKeys(1), makeKeys(2))
    pair.destroy()
    await turns()
    const scores = new ScoresChannel(
      { stream: pair.a, now: clock.now },
      { received: () => {}, violated: () => {}, closed: () => {} },
    )
    expect(scores.isOpen).toBe(false)
    expect(scores.send(regime)).toBe(false)
  })
})
