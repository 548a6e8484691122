import { raw } from 'compact-encoding'
import Protomux from 'protomux'
import { afterEach, describe, expect, it } from 'vitest'
import { CatalogSharing } from '../../../../actors/models/channel/catalog-sharing.ts'
import { modelsProtocol } from '../../../../actors/models/channel/models-channel.ts'
import { ModelCatalog } from '../../../../machines/models/catalog.ts'
import { encodeFrame, FrameDecoder } from '../../../../protocol/index.ts'
import type { ModelsMessage } from '../../../../protocol/messages/models.ts'
import { type CatalogDocument, encodeCatalog, toCatalogHash } from '../../../../protocol/models/index.ts'
import { catalogOf, manifestBy, newSigner } from '../../../protocol/models/samples.ts'
import { createConnection, type Ends } from '../../../support/core-rig.ts'

const alice = newSigner(Buffer.alloc(32, 1))
const bob = newSigner(Buffer.alloc(32, 2))

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

function createSide(trusted: readonly string[] = [alice.id], options: { readonly answerMs?: number } = {}) {
  const catalog = new ModelCatalog(trusted)
  const documents = new Map<string, CatalogDocument>()
  const [violations, warnings]: [string[], string[]] = [[], []]
  const offer = (document: CatalogDocument) => {
    const change = catalog.offerCatalog(document)
    if (change.kind === 'taken') documents.set(document.publisher, document)
    return change
  }
  const sharing = new CatalogSharing({
    restMs: 0,
    ...options,
    catalog: {
      find: () => [],
      offer: () => Promise.resolve({ kind: 'known' }),
      published: {
        held: () => catalog.published.list(),
        isTrusted: (publisher) => catalog.isTrusted(publisher),
        bytes: (publisher) => {
          const document = documents.get(publisher)
          return Promise.resolve(document && encodeCatalog(document))
        },
        offer: (document) => Promise.resolve(offer(document)),
      },
    },
    onViolation: (_, code, detail) => violations.push(`${code} ${detail}`),
    onWarning: (message) => warnings.push(message),
  })
  closers.push(() => sharing.close())
  const publish = (document: CatalogDocument): void => {
    expect(offer(document)).toMatchObject({ kind: 'taken' })
    sharing.changed()
  }
  const version = (signer = alice): number | undefined => catalog.published.of(signer.id)?.version
  return { catalog, documents, sharing, violations, warnings, publish, version }
}
type Side = ReturnType<typeof createSide>

function open(): Ends {
  const ends = createConnection()
  closers.push(() => ends.close())
  return ends
}

function connect(a: Side, b: Side): Ends {
  const ends = open()
  a.sharing.connect(ends.right.publicKey.toString('hex'), ends.left)
  b.sharing.connect(ends.left.publicKey.toString('hex'), ends.right)
  return ends
}

/** A peer that says what it is told to, and remembers what it hears. */
function createStranger(side: Side) {
  const ends = open()
  side.sharing.connect('00'.repeat(32), ends.left)
  const heard: ModelsMessage[] = []
  const channel = Protomux.from(ends.right).createChannel({ protocol: modelsProtocol })
  const message = channel?.addMessage({
    encoding: raw,
    onmessage: (bytes: Buffer) =>
      new FrameDecoder().feed(bytes, (frame) => {
        if (frame.ok) heard.push(frame.value as ModelsMessage)
        return true
      }),
  })
  channel?.open()
  const say = (value: object): void => void message?.send(encodeFrame(value))
  const have = (document: CatalogDocument): void =>
    say({
      type: 'catalog-have',
      catalogs: [{ publisher: document.publisher, version: document.version, hash: toCatalogHash(document) }],
    })
  const send = (document: CatalogDocument): void =>
    say({ type: 'catalog', catalog: encodeCatalog(document).toString('base64') })
  const wants = (): number => heard.filter(({ type }) => type === 'catalog-want').length
  return { ends, heard, say, have, send, wants }
}

describe('catalogs between nodes', () => {
  it('go from node to node, on opening and when there are newer ones', async () => {
    const [a, b, c] = [createSide(), createSide(), createSide()]
    a.publish(catalogOf(alice, 1))
    connect(a, b)
    await expect.poll(() => b.version()).toBe(1)
    connect(b, c)
    await expect.poll(() => c.version()).toBe(1)
    a.publish(catalogOf(alice, 2, ['a', 'b']))
    await expect.poll(() => c.version()).toBe(2)
    expect(c.catalog.list().map(({ manifest }) => manifest.id)).toEqual(['a', 'b'])
    expect([a, b, c].flatMap(({ violations }) => violations)).toEqual([])
  })

  it('are remembered as what was given, also where a command beside the node wrote a newer one', async () => {
    const a = createSide()
    a.publish(catalogOf(alice, 1))
    a.documents.set(alice.id, catalogOf(alice, 2))
    const { say, heard } = createStranger(a)
    const given = (): number => heard.filter(({ type }) => type === 'catalog').length
    say({ type: 'catalog-want', publisher: alice.id })
    await expect.poll(given).toBe(1)
    a.catalog.offerCatalog(catalogOf(alice, 2))
    say({ type: 'catalog-want', publisher: alice.id })
    await expect.poll(() => a.violations).toEqual([expect.stringContaining('asked twice')])
    expect(given()).toBe(1)
  })

  it('are taken in their newest version only, whoever comes with an older one', async () => {
    const [a, b] = [createSide(), createSide()]
    a.publish(catalogOf(alice, 3))
    b.publish(catalogOf(alice, 7))
    connect(a, b)
    await expect.poll(() => a.version()).toBe(7)
    expect(b.version()).toBe(7)
    expect([...a.violations, ...b.violations]).toEqual([])
  })

  it('go only to those who trust their publisher, and at once when somebody begins to', async () => {
    const [a, b] = [createSide([alice.id, bob.id]), createSide()]
    a.publish(catalogOf(bob, 1))
    a.publish(catalogOf(alice, 1))
    connect(a, b)
    await expect.poll(() => b.version()).toBe(1)
    expect(b.version(bob)).toBeUndefined()
    b.catalog.trust([alice.id, bob.id])
    b.sharing.changed()
    await expect.poll(() => b.version(bob)).toBe(1)
    expect(b.violations).toEqual([])
  })

  it('that are large come as fast as they are asked for, one after the other', async () => {
    const signers = Array.from({ length: 10 }, (_, n) => newSigner(Buffer.alloc(32, n + 10)))
    const trusted = signers.map(({ id }) => id)
    const [a, b] = [createSide(trusted), createSide(trusted)]
    const sources = Array.from({ length: 7 }, (_, n) => ({
      kind: 'https' as const,
      url: `https://example.org/${n}${'x'.repeat(2_000)}`,
    }))
    for (const signer of signers) {
      const heavy = Array.from({ length: 35 }, (_, n) => manifestBy(signer, { id: `heavy-${n}`, sources }))
      const document = catalogOf(signer, 1, [], heavy)
      // All of them are more than a peer may say unasked.
      expect(encodeCatalog(document).length).toBeGreaterThan(480_000)
      a.publish(document)
    }
    connect(a, b)
    await expect.poll(() => b.catalog.published.list().length, { timeout: 30_000 }).toBe(10)
    expect(b.violations).toEqual([])
  })

  it('come from another peer when the one that was asked is slow or gone', async () => {
    for (const leave of [false, true]) {
      const side = createSide([alice.id], { answerMs: leave ? 60_000 : 20 })
      const silent = createStranger(side)
      silent.have(catalogOf(alice, 5))
      await expect.poll(() => silent.wants()).toBe(1)
      const holder = createSide()
      holder.publish(catalogOf(alice, 5))
      connect(holder, side)
      if (leave) silent.ends.close()
      await expect.poll(() => side.version()).toBe(5)
      if (!leave) {
        silent.send(catalogOf(alice, 5))
        silent.say({ type: 'manifest-want', names: ['x'] })
        await expect.poll(() => silent.heard.some(({ type }) => type === 'manifest')).toBe(true)
      }
      expect(side.violations).toEqual([])
    }
  })

  it('that are forged, of another publisher, older than said or unasked count against the peer', async () => {
    const cases: readonly [CatalogDocument, string][] = [
      [{ ...catalogOf(alice, 4), version: 5 }, 'signature'],
      [catalogOf(bob, 5), 'another catalog than it said'],
      [catalogOf(alice, 4), 'another catalog than it said'],
    ]
    for (const [document, detail] of cases) {
      const side = createSide()
      const stranger = createStranger(side)
      stranger.have(catalogOf(alice, 5))
      await expect.poll(() => stranger.wants()).toBe(1)
      stranger.send(document)
      await expect.poll(() => side.violations).toEqual([expect.stringContaining(detail)])
      stranger.send(catalogOf(alice, 5))
      await expect.poll(() => side.violations[1]).toContain('nobody asked for')
      // What it said once and did not hold to is not asked for again.
      stranger.have(catalogOf(alice, 5))
      stranger.say({ type: 'catalog', catalog: 'AAAA' })
      await expect.poll(() => side.violations.length).toBe(3)
      expect([side.version(), stranger.wants()]).toEqual([undefined, 1])
    }
  })

  it('of one version that differ are told to the owner, and the first one stays', async () => {
    const [a, b] = [createSide(), createSide()]
    a.publish(catalogOf(alice, 3, ['one']))
    b.publish(catalogOf(alice, 3, ['two']))
    connect(a, b)
    await expect.poll(() => [...a.warnings, ...b.warnings].length).toBe(2)
    expect(a.warnings[0]).toContain('signed two catalogs as version 3')
    expect(a.catalog.list()[0]?.manifest.id).toBe('one')
    expect(b.catalog.list()[0]?.manifest.id).toBe('two')
    expect([...a.violations, ...b.violations]).toEqual([])
  })

  it('are given once to each peer', async () => {
    const side = createSide()
    side.publish(catalogOf(alice, 1))
    const stranger = createStranger(side)
    for (let n = 0; n < 3; n++) stranger.say({ type: 'catalog-want', publisher: alice.id })
    await expect.poll(() => side.violations.length).toBe(2)
    expect(stranger.heard.filter(({ type }) => type === 'catalog')).toHaveLength(1)
    expect(side.violations[0]).toContain('asked twice')
  })

  it('of a publisher that never rests are taken now and then, the newest one', async () => {
    const side = createSide()
    const resting = new CatalogSharing({
      restMs: 300,
      catalog: {
        find: () => [],
        offer: () => Promise.resolve({ kind: 'known' }),
        published: {
          held: () => side.catalog.published.list(),
          isTrusted: () => true,
          bytes: () => Promise.resolve(undefined),
          offer: (document) => {
            taken.push(document.version)
            return Promise.resolve(side.catalog.offerCatalog(document))
          },
        },
      },
    })
    closers.push(() => resting.close())
    const taken: number[] = []
    const giver = createSide()
    giver.publish(catalogOf(alice, 1))
    connect(giver, { ...side, sharing: resting })
    await expect.poll(() => taken).toEqual([1])
    for (let version = 2; version < 20; version++) giver.publish(catalogOf(alice, version))
    await expect.poll(() => taken).toEqual([1, 19])
  })
})
