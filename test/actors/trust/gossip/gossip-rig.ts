import sodium from 'sodium-universal'
import { Gossip } from '../../../../actors/trust/gossip/gossip.ts'
import { type HelloBody, InferenceChannel } from '../../../../actors/peer/inference-channel.ts'
import { createRandom } from '../../../../machines/selection/random.ts'
import type { ErrorCode, PeerId } from '../../../../protocol/index.ts'
import { createSigner, type TrustSigner } from '../../../../protocol/trust/index.ts'
import { createNoisePair, type SecretStream } from './noise-pair.ts'
import { TestLedger } from './test-ledger.ts'

export const networkId = '00112233445566778899aabbccddeeff'

export interface TestKeys {
  readonly publicKey: Buffer
  readonly secretKey: Buffer
  readonly signer: TrustSigner
}

export function makeKeys(seed: number): TestKeys {
  const [publicKey, secretKey, seedBytes] = [Buffer.alloc(32), Buffer.alloc(64), Buffer.alloc(32)]
  seedBytes.writeUInt32LE(seed)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seedBytes)
  return { publicKey, secretKey, signer: createSigner(networkId, { publicKey, secretKey }) }
}

export interface Violation {
  readonly by: PeerId
  readonly code: ErrorCode
  readonly detail: string
}

export interface TestNode {
  readonly id: PeerId
  readonly keys: TestKeys
  readonly ledger: TestLedger
  readonly gossip: Gossip
  readonly violations: readonly Violation[]
  readonly defects: readonly unknown[]
  readonly streams: Set<SecretStream>
}

/** A clock that the test moves. */
export const createClock = () => {
  const clock = { nowMs: 1_000, now: () => clock.nowMs }
  return clock
}
export type TestClock = ReturnType<typeof createClock>

export function createNode(seed: number, clock: TestClock, { isStarted = true } = {}): TestNode {
  const keys = makeKeys(seed)
  const ledger = new TestLedger(keys.signer)
  const violations: Violation[] = []
  const defects: unknown[] = []
  const gossip = new Gossip({
    networkId,
    now: clock.now,
    random: createRandom(seed),
    onViolation: (by, code, detail) => violations.push({ by, code, detail }),
    onDefect: (error) => defects.push(error),
  })
  if (isStarted) gossip.start(ledger)
  return { id: ledger.ownId, keys, ledger, gossip, violations, defects, streams: new Set() }
}

export const helloWith = (capabilities: readonly string[]): HelloBody => ({
  agent: 'test',
  roles: ['client'],
  models: [],
  capabilities: [...capabilities],
})

/** A greeting by the inference channel, after which gossip may use the connection; as a node does it. */
export function welcome(
  node: TestNode,
  stream: SecretStream,
  clock: TestClock,
  capabilities: readonly string[],
) {
  const peerId = stream.remotePublicKey.toString('hex')
  node.streams.add(stream)
  const channel = new InferenceChannel(
    { stream, hello: helloWith(capabilities), now: clock.now },
    {
      greeted: (hello) => node.gossip.opened(peerId, stream, hello),
      received: () => 'ok',
      violated: (code, detail) => {
        throw new Error(`${code}: ${detail}`)
      },
      broken: () => {},
      closed: () => node.streams.delete(stream),
    },
  )
  return channel
}

export async function connect(
  a: TestNode,
  b: TestNode,
  clock: TestClock,
  { capabilities = [a.gossip.capability] as readonly string[] } = {},
) {
  const pair = await createNoisePair(a.keys, b.keys)
  return {
    ...pair,
    aChannel: welcome(a, pair.a, clock, [a.gossip.capability]),
    bChannel: welcome(b, pair.b, clock, capabilities),
  }
}

/** Turns of the event loop until nothing was written for a while: everything that is said was heard and answered. */
export async function settled(nodes: readonly TestNode[]): Promise<void> {
  const written = (): number =>
    nodes.reduce(
      (sum, { streams, ledger }) =>
        [...streams].reduce((bytes, stream) => bytes + stream.rawBytesWritten, sum) + ledger.checks,
      0,
    )
  let before = -1
  for (let quiet = 0; quiet < 20;) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    const now = written()
    quiet = now === before ? quiet + 1 : 0
    before = now
  }
}

export const bytesWritten = ({ streams }: TestNode): number =>
  [...streams].reduce((sum, stream) => sum + stream.rawBytesWritten, 0)

/** Edges of a connected random graph: a ring and some chords. */
export function randomEdges(count: number, chords: number, seed: number): (readonly [number, number])[] {
  const random = createRandom(seed)
  const edges = new Map<string, readonly [number, number]>()
  const add = (a: number, b: number): void => {
    if (a !== b) edges.set([Math.min(a, b), Math.max(a, b)].join(), [Math.min(a, b), Math.max(a, b)])
  }
  for (let index = 0; index < count; index++) add(index, (index + 1) % count)
  while (edges.size < count + chords) add(Math.floor(random() * count), Math.floor(random() * count))
  return [...edges.values()]
}
