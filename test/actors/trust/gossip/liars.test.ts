import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gossipLimits } from '../../../../actors/trust/gossip/gossip-limits.ts'
import { limits } from '../../../../protocol/index.ts'
import { scoresLimits } from '../../../../protocol/messages/scores.ts'
import { cardFormat, encodeProof, headFormat } from '../../../../protocol/trust/index.ts'
import { connect, createClock, createNode, makeKeys, settled, type TestNode } from './gossip-rig.ts'
import { connectLiar, type Liar } from './liar.ts'
import { makeCard, makeFork, makeHead, makeStatement } from './test-ledger.ts'

const clock = createClock()

/** A victim between a liar and an honest node. */
interface Scene {
  readonly victim: TestNode
  readonly friend: TestNode
  readonly liar: Liar
}
let scene: Scene
let end = (): void => {}

beforeEach(async () => {
  const [victim, friend] = [createNode(1, clock), createNode(2, clock)]
  const link = await connect(victim, friend, clock)
  const liar = await connectLiar(victim, 666, clock)
  scene = { victim, friend, liar }
  end = () => {
    link.destroy()
    liar.pair.destroy()
  }
  await settled([victim, friend])
})
afterEach(() => end())

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))
const signers = (count: number) => many(count, (index) => makeKeys(10_000 + index).signer)
const toText = (bytes: Buffer): string => bytes.toString('base64')
const bad = (signature: string): string => signature.replace(/^../, (byte) => (byte === '00' ? '01' : '00'))

/** Lets the lies arrive, and shows that the others go on as if nothing had happened. */
async function expectViolations({ victim, friend }: Scene, count: number): Promise<void> {
  await settled([victim, friend])
  expect(victim.violations.length).toBe(count)
  for (const { by } of victim.violations) expect(by).toBe(scene.liar.id)
  expect([friend.violations, victim.defects, friend.defects]).toEqual([[], [], []])
  victim.ledger.grow(500)
  friend.ledger.grow(500)
  victim.gossip.announce()
  friend.gossip.announce()
  await settled([victim, friend])
  expect(friend.ledger.heads.get(victim.id)?.length).toBe(500)
  expect(victim.ledger.heads.get(friend.id)?.length).toBe(500)
}

const codes = ({ victim }: Scene): string[] => [...new Set(victim.violations.map(({ code }) => code))]

describe('a liar on the scores network', () => {
  it('that sends garbage is reported each time, and not read after ten times', async () => {
    for (let times = 0; times < 20; times++) scene.liar.write(Buffer.from('00000003ffffff', 'hex'))
    await expectViolations(scene, limits.violationsMax + 1)
    expect(codes(scene)).toEqual(['QM_FRAME_NOT_JSON'])
    expect(scene.victim.gossip.peers).toEqual([scene.friend.id])
    // The connection is for its owner to close: asking and answering went on meanwhile.
    expect(scene.liar.inference.isOpen).toBe(true)
  })

  it('that cuts frames off, or sends too long ones, leaves nothing behind', async () => {
    scene.liar.write(Buffer.from('0000ffff7b', 'hex'))
    scene.liar.write(Buffer.from('7fffffff7b', 'hex'))
    scene.liar.write(Buffer.alloc(scoresLimits.frameBytesMax + 100, 0x20))
    await expectViolations(scene, 3)
    expect(codes(scene)).toEqual(['QM_FRAME_NOT_JSON', 'QM_FRAME_TOO_LONG'])
  })

  const wrong: readonly (readonly [string, object])[] = [
    ['a message without a type', {}],
    ['an encoding with a byte too many', { type: 'score-update', heads: ['AAAA'] }],
    ['a list of half entries', { type: 'score-heads', ranges: [], held: 'AAAA' }],
    ['a range that is none', { type: 'score-heads', ranges: [16], held: '' }],
    ['too few ranges', { type: 'score-digest', ranges: [], bans: '0'.repeat(16) }],
    ['an account that is none', { type: 'score-request', accountId: 'x', epoch: 1 }],
    ['a future behind all epochs', { type: 'score-request', accountId: 'a'.repeat(64), epoch: 2 ** 32 }],
    ['a regime that is none', { type: 'regime', regime: 'panic' }],
    ['a proof of nothing', { type: 'fraud', proofs: ['AA=='] }],
  ]
  it.each(wrong)('that sends %s is reported', async (_, message) => {
    scene.liar.object(message)
    await expectViolations(scene, 1)
    expect(codes(scene)).toEqual(['QM_MESSAGE_INVALID'])
  })

  const head = makeHead(makeKeys(5).signer, 3)
  const card = makeCard(makeKeys(5).signer)
  const proof = makeFork(makeKeys(5).signer, 3)
  const oneMore = [
    [
      'heads',
      { type: 'score-update', heads: many(scoresLimits.headsMax + 1, () => toText(headFormat.encode(head))) },
    ],
    [
      'cards',
      { type: 'score-update', cards: many(scoresLimits.cardsMax + 1, () => toText(cardFormat.encode(card))) },
    ],
    ['proofs', { type: 'fraud', proofs: many(scoresLimits.proofsMax + 1, () => toText(encodeProof(proof))) }],
  ] as const
  it.each(oneMore)('that sends one more of %s than a list may have is reported', async (_, message) => {
    scene.liar.object(message)
    await expectViolations(scene, 1)
    expect(codes(scene)).toEqual(['QM_MESSAGE_INVALID'])
    expect(scene.victim.ledger.heads.size).toBe(2)
  })

  it('that forges heads, cards, proofs and statements is reported for each', async () => {
    const { say, keys } = scene.liar
    const [stranger] = signers(1)
    if (!stranger) return
    const forged = makeHead(scene.friend.keys.signer, 1_000)
    say({ type: 'score-update', heads: [{ ...forged, signature: bad(forged.signature) }] })
    const newCard = makeCard(stranger)
    say({ type: 'score-update', cards: [{ ...newCard, name: 'other' }] })
    // Two heads of different lengths prove nothing.
    say({ type: 'fraud', proofs: [{ kind: 'fork', a: makeHead(stranger, 1), b: makeHead(stranger, 2) }] })
    const statement = makeStatement(keys.signer, stranger.id, 3)
    say({ type: 'score-verify', statement: { ...statement, values: [9, 9, 9, 9, 9] } })
    await expectViolations(scene, 4)
    expect(codes(scene)).toEqual(['QM_EVIDENCE_INVALID'])
    expect(scene.victim.ledger.bans.size).toBe(0)
  })

  it('that invents thousands of accounts costs a bounded number of checks', async () => {
    const { victim, friend, liar } = scene
    const before = victim.ledger.checks
    const heads = signers(3_000).map((signer) => makeHead(signer, 7))
    for (let first = 0; first < heads.length; first += scoresLimits.headsMax) {
      liar.say({ type: 'score-update', heads: heads.slice(first, first + scoresLimits.headsMax) })
    }
    await settled([victim, friend])
    expect(victim.ledger.checks - before).toBeLessThanOrEqual(gossipLimits.signaturesBurst)
    expect(victim.ledger.heads.size).toBe(2)
    expect(codes(scene)).toEqual(['QM_MESSAGE_UNEXPECTED'])
    await expectViolations(scene, victim.violations.length)
    expect(victim.violations.length).toBeGreaterThan(5)
  })

  it('that floods with cards gets no more of them checked than it may send', async () => {
    const { victim, friend, liar } = scene
    const cards = signers(1_000).map((signer) => makeCard(signer))
    for (let first = 0; first < cards.length; first += scoresLimits.cardsMax) {
      liar.say({ type: 'score-update', cards: cards.slice(first, first + scoresLimits.cardsMax) })
    }
    await settled([victim, friend])
    // Two of its burst were gone before: it greets like everybody.
    expect(victim.ledger.cards.size).toBeLessThanOrEqual(2 + gossipLimits.cardsBurst)
    // What the victim passes on stays below what its friend would find too much.
    await expectViolations(scene, victim.violations.length)
    expect(victim.violations.length).toBeGreaterThan(3)
  })

  it('that floods with questions is answered a little and reported', async () => {
    const { victim, friend, liar } = scene
    const digest = {
      type: 'score-digest',
      ranges: many(16, () => 'f'.repeat(16)),
      bans: 'f'.repeat(16),
    } as const
    const heard = liar.heard.length
    for (let times = 0; times < 260; times++) liar.say(digest)
    await settled([victim, friend])
    expect(liar.heard.length - heard).toBeLessThanOrEqual(gossipLimits.digestsBurst)
    await expectViolations(scene, 260 - gossipLimits.questionsBurst)
    expect(codes(scene)).toEqual(['QM_MESSAGE_UNEXPECTED'])
  })

  it('that sends types of a later version is ignored, and reported only when they do not end', async () => {
    const { victim, friend, liar } = scene
    for (let times = 0; times < gossipLimits.questionsBurst; times++) liar.object({ type: 'score-poem' })
    await settled([victim, friend])
    expect(victim.violations).toEqual([])
    for (let times = 0; times < 5; times++) liar.object({ type: 'score-poem' })
    await expectViolations(scene, 5)
  })

  it('that floods with bytes is reported before they are read', async () => {
    const { victim, friend, liar } = scene
    const message = { type: 'score-poem', text: 'x'.repeat(200_000) }
    for (let times = 0; times < 12; times++) liar.object(message)
    await settled([victim, friend])
    await expectViolations(scene, 2)
    expect(victim.violations[0]?.detail).toContain('bytes')
  })

  it('that answers digests which were not sent is reported', async () => {
    const { victim, liar } = scene
    for (let times = 0; times < 3; times++) liar.say({ type: 'score-heads', ranges: [1], held: [] })
    // One of two that meet asks the other at once.
    await expectViolations(scene, victim.id < liar.id ? 2 : 3)
    expect(new Set(codes(scene))).toEqual(new Set(['QM_MESSAGE_UNEXPECTED']))
  })

  it('that names heads it does not have, and bans that are none, changes nothing', async () => {
    const { victim, liar } = scene
    victim.gossip.round()
    const held = many(3_000, (index) => ({
      prefix: index.toString(16).padStart(16, '0'),
      length: 9,
      mark: '00112233',
    }))
    const bans = many(200, (index) => ({ accountId: index.toString(16).padStart(64, '0'), epoch: 1 }))
    liar.say({ type: 'score-heads', ranges: [0, 1, 2, 3], held, bans })
    for (let times = 0; times < 5; times++) liar.say({ type: 'score-heads', ranges: [], held })
    await expectViolations(scene, 0)
    expect([victim.ledger.heads.size, victim.ledger.bans.size]).toEqual([2, 0])
  })

  it('that talks about its own ban with ever earlier dates is passed on once', async () => {
    const { victim, friend, liar } = scene
    liar.say({ type: 'score-update', cards: [makeCard(liar.keys.signer)] })
    await settled([victim, friend])
    for (let epoch = 300; epoch > 290; epoch--) {
      const [a, b] = ['', 'b'].map((name) => makeCard(liar.keys.signer, { createdEpoch: epoch, name }))
      if (a && b) liar.say({ type: 'fraud', proofs: [{ kind: 'two-cards', a, b }] })
    }
    await settled([victim, friend])
    for (const { ledger } of [victim, friend]) expect(ledger.bans.get(liar.id)?.epoch).toBe(300)
    await expectViolations(scene, 0)
  })

  it('that proves the guilt of keys that nobody introduced is not remembered for it', async () => {
    const { victim, friend, liar } = scene
    for (let message = 0; message < 10; message++) {
      const proofs = many(16, (index) => makeFork(makeKeys(5_000 + 16 * message + index).signer, 3))
      liar.say({ type: 'fraud', proofs })
    }
    await settled([victim, friend])
    expect([victim.ledger.bans.size, friend.ledger.bans.size]).toEqual([0, 0])
    await expectViolations(scene, 0)
  })

  it('that never reads costs a bounded buffer, and nobody else anything', async () => {
    const { victim, friend, liar } = scene
    const stream = [...victim.streams].find(({ remotePublicKey }) =>
      remotePublicKey.equals(liar.keys.publicKey),
    )
    if (!stream) throw new Error('the liar is not connected')
    liar.pair.stopReading()
    let most = 0
    for (let length = 2; length < 2_500; length++) {
      victim.ledger.grow(length)
      victim.gossip.announce()
      clock.nowMs += 100
      most = Math.max(most, stream._writableState.buffered)
      if (length % 100 === 0) await settled([victim, friend])
    }
    expect(victim.gossip.dropped).toBeGreaterThan(100)
    expect(most).toBeGreaterThan(gossipLimits.bufferBytesMax / 2)
    expect(most).toBeLessThan(gossipLimits.bufferBytesMax + scoresLimits.frameBytesMax)
    await settled([victim, friend])
    expect(friend.ledger.heads.get(victim.id)?.length).toBe(2_499)
  })

  it('that closes its channel, or opens it twice, loses the scores network and nothing else', async () => {
    const { victim, friend, liar } = scene
    const { default: Protomux } = await import('protomux')
    const second = Protomux.from(liar.pair.a).createChannel({ protocol: 'qmesh/scores/2' })
    expect(second).toBeNull()
    victim.gossip.closed(liar.id)
    await settled([victim, friend])
    expect(liar.isRefused()).toBe(true)
    const third = Protomux.from(liar.pair.a).createChannel({ protocol: 'qmesh/scores/2' })
    third?.open()
    await expectViolations(scene, 0)
    expect(third?.closed).toBe(true)
    expect(liar.inference.isOpen).toBe(true)
    expect(victim.gossip.peers).toEqual([friend.id])
  })
})
