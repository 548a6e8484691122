import { raw } from 'compact-encoding'
import Protomux from 'protomux'
import { InferenceChannel } from '../../../../actors/peer/inference-channel.ts'
import { scoresProtocol } from '../../../../actors/trust/gossip/scores-channel.ts'
import { encodeFrame } from '../../../../protocol/index.ts'
import { type ScoresMessage, toScoresObject } from '../../../../protocol/messages/scores.ts'
import { helloWith, makeKeys, type TestClock, type TestKeys, type TestNode, welcome } from './gossip-rig.ts'
import { createNoisePair, type NoisePair } from './noise-pair.ts'

/** A peer that greets as it should, opens the scores network, and then says whatever a test wants. */
export interface Liar {
  readonly id: string
  readonly keys: TestKeys
  readonly pair: NoisePair
  readonly inference: InferenceChannel
  readonly isRefused: () => boolean
  /** What it heard on the scores network. */
  readonly heard: readonly Buffer[]
  readonly write: (bytes: Uint8Array) => void
  readonly object: (message: object) => void
  readonly say: (message: ScoresMessage) => void
}

export async function connectLiar(victim: TestNode, seed: number, clock: TestClock): Promise<Liar> {
  const keys = makeKeys(seed)
  const pair = await createNoisePair(keys, victim.keys)
  welcome(victim, pair.b, clock, [victim.gossip.capability])
  const heard: Buffer[] = []
  let send: (bytes: Uint8Array) => void = () => {}
  let isRefused = false
  const inference = await new Promise<InferenceChannel>((resolve) => {
    const channel: InferenceChannel = new InferenceChannel(
      { stream: pair.a, hello: helloWith([victim.gossip.capability]), now: clock.now },
      {
        greeted: () => {
          const scores = Protomux.from(pair.a).createChannel({
            protocol: scoresProtocol,
            onclose: () => (isRefused = true),
          })
          const message = scores?.addMessage({ encoding: raw, onmessage: (bytes) => heard.push(bytes) })
          scores?.open()
          send = (bytes) => message?.send(bytes)
          resolve(channel)
        },
        received: () => 'ok',
        violated: () => {},
        broken: () => {},
        closed: () => {},
      },
    )
  })
  const write = (bytes: Uint8Array): void => send(bytes)
  const object = (message: object): void => write(encodeFrame(message))
  return {
    id: keys.signer.id,
    keys,
    pair,
    inference,
    isRefused: () => isRefused,
    heard,
    write,
    object,
    say: (message) => object(toScoresObject(message)),
  }
}
