import { raw } from 'compact-encoding'
import DHT from 'hyperdht'
import Protomux from 'protomux'
import { afterEach, describe, expect, it } from 'vitest'
import { CatalogSharing } from '../../../../actors/models/channel/catalog-sharing.ts'
import { modelsProtocol } from '../../../../actors/models/channel/models-channel.ts'
import { ModelCatalog } from '../../../../machines/models/catalog.ts'
import { encodeFrame } from '../../../../protocol/index.ts'
import { parseModelsMessage } from '../../../../protocol/messages/models.ts'
import {
  encodeManifest,
  type ModelManifest,
  modelsNetworkId,
  signManifest,
} from '../../../../protocol/models/index.ts'
import { createSigner } from '../../../../protocol/trust/index.ts'
import { createConnection, type Ends } from '../../../support/core-rig.ts'
import { createManifest } from '../../../support/models-rig.ts'

const publisher = createSigner(modelsNetworkId, DHT.keyPair())
const stranger = createSigner(modelsNetworkId, DHT.keyPair())
const hash = 'cd'.repeat(32)
const manifestOf = (changes: Partial<ModelManifest> = {}, by = publisher): ModelManifest =>
  signManifest(
    { ...createManifest(undefined, [{ kind: 'peers' }], { sha256: hash, bytes: 5 }), ...changes },
    by,
  )

const connections: Ends[] = []
afterEach(() => {
  for (const ends of connections.splice(0)) ends.close()
})

function createSide(trusted: readonly string[] = [publisher.id], stored: readonly ModelManifest[] = []) {
  const catalog = new ModelCatalog(trusted)
  const violations: string[] = []
  const sharing = new CatalogSharing({
    settleMs: 0,
    catalog: {
      held: () => catalog.list().flatMap(({ manifest, isTrusted }) => (isTrusted ? [manifest] : [])),
      find: (name) => stored.filter(({ id, artifact }) => id === name || artifact.sha256 === name),
      offer: (manifest) => Promise.resolve(catalog.offer(manifest, 'network')),
    },
    onViolation: (_, code, detail) => violations.push(`${code} ${detail}`),
  })
  return { catalog, sharing, violations }
}
type Side = ReturnType<typeof createSide>

function connect(a: Side, b: Side): void {
  const ends = createConnection()
  connections.push(ends)
  a.sharing.connect(ends.right.publicKey.toString('hex'), ends.left)
  b.sharing.connect(ends.left.publicKey.toString('hex'), ends.right)
}

describe('catalog sharing', () => {
  it('takes what a trusted publisher signed from whoever has it, and passes it on', async () => {
    const [a, b, c] = [createSide(), createSide(), createSide()]
    connect(a, b)
    connect(b, c)
    a.catalog.offer(manifestOf(), 'network')
    a.sharing.announce(a.catalog.list().map(({ manifest }) => manifest))
    await expect.poll(() => c.catalog.resolve('tiny')?.manifest.version).toBe(1)
    expect(c.catalog.resolve('tiny')?.isTrusted).toBe(true)
  })

  it('tells a newcomer, takes the newest version, and never an older one', async () => {
    const [a, b] = [createSide(), createSide()]
    a.catalog.offer(manifestOf({ version: 7 }), 'network')
    b.catalog.offer(manifestOf({ version: 3 }), 'network')
    connect(a, b)
    await expect.poll(() => b.catalog.resolve('tiny')?.manifest.version).toBe(7)
    // Offered out of turn by a peer that is behind.
    b.sharing.announce([manifestOf({ version: 2 })])
    const old = createSide()
    old.catalog.offer(manifestOf({ version: 1 }), 'network')
    connect(old, b)
    await expect.poll(() => old.catalog.resolve('tiny')?.manifest.version).toBe(7)
    expect(b.catalog.resolve('tiny')?.manifest.version).toBe(7)
    expect([...a.violations, ...b.violations]).toEqual([])
  })

  it('ignores publishers that it does not trust, and blames nobody for them', async () => {
    const [a, b] = [createSide([stranger.id, publisher.id]), createSide()]
    a.catalog.offer(manifestOf({ id: 'strange' }, stranger), 'network')
    a.catalog.offer(manifestOf(), 'network')
    connect(a, b)
    await expect.poll(() => b.catalog.resolve('tiny')).toBeDefined()
    expect(b.catalog.resolve('strange')).toBeUndefined()
    expect(b.violations).toEqual([])
  })

  it('finds a model by the hash of its file, whoever vouches for it, and by its id only with a signature', async () => {
    const nameless = {
      ...createManifest(undefined, [{ kind: 'peers' }], { sha256: hash, bytes: 5 }),
      id: 'mine',
    }
    const [a, b] = [createSide([], [nameless]), createSide()]
    connect(a, b)
    const signal = new AbortController().signal
    expect(await b.sharing.find(hash, signal)).toMatchObject([{ id: 'mine' }])
    expect(await b.sharing.find('mine', signal)).toEqual([])
    expect(b.catalog.resolve('mine')).toBeUndefined()
    expect(await b.sharing.find('ef'.repeat(32), signal)).toEqual([])
  })

  it('finds nothing by a hash that is forged, or would have it ask this very machine', async () => {
    const found = { artifact: { bytes: 5, sha256: hash, core: null } }
    const forged = { ...manifestOf(found), signature: 'ab'.repeat(64) }
    const local = manifestOf({ ...found, sources: [{ kind: 'https', url: 'http://127.0.0.1:1/x.gguf' }] })
    const file = { ...createManifest(undefined, [{ kind: 'file', path: '/etc/hosts' }], found.artifact) }
    const [a, b] = [createSide([], [forged, local, file]), createSide()]
    connect(a, b)
    expect(await b.sharing.find(hash, new AbortController().signal)).toEqual([])
    expect(b.violations).toEqual([expect.stringContaining('the signature of "tiny" does not fit')])
  })

  it('stops waiting at the signal, and for a peer that went away', async () => {
    const silent = createConnection()
    connections.push(silent)
    const side = createSide()
    side.sharing.connect('00'.repeat(32), silent.left)
    // The other end opens the channel and never answers.
    const channel = Protomux.from(silent.right).createChannel({ protocol: modelsProtocol })
    channel?.addMessage({ encoding: raw, onmessage: () => undefined })
    channel?.open()
    expect(await side.sharing.find('x', AbortSignal.timeout(50))).toEqual([])
    const finding = side.sharing.find('x', new AbortController().signal)
    silent.close()
    expect(await finding).toEqual([])
  })

  it('believes no flipped bit, and counts every one against the peer', async () => {
    const side = createSide()
    const ends = createConnection()
    connections.push(ends)
    side.sharing.connect('00'.repeat(32), ends.left)
    const channel = Protomux.from(ends.right).createChannel({ protocol: modelsProtocol })
    const message = channel?.addMessage({ encoding: raw, onmessage: () => undefined })
    channel?.open()
    const bytes = encodeManifest(manifestOf())
    bytes.writeUInt8(bytes.readUInt8(40) ^ 4, 40)
    message?.send(encodeFrame({ type: 'manifest', manifests: [bytes.toString('base64')], names: [] }))
    message?.send(encodeFrame({ type: 'catalog-have', manifests: 'all of them' }))
    message?.send(Buffer.from('nothing that is a frame'))
    await expect.poll(() => side.violations.length).toBe(3)
    expect(side.catalog.list()).toEqual([])
    expect(side.violations[0]).toContain('QM_MANIFEST_INVALID')
  })
})

describe('messages about models', () => {
  it('have bounds, and later types are ignored', () => {
    const ref = { publisher: publisher.id, id: 'x', version: 1 }
    const have = (count: number) => ({
      type: 'catalog-have',
      manifests: Array.from({ length: count }, () => ref),
    })
    expect(parseModelsMessage(have(512)).kind).toBe('message')
    expect(parseModelsMessage(have(513)).kind).toBe('invalid')
    expect(parseModelsMessage({ type: 'catalog-want', manifests: [], names: ['x'.repeat(129)] }).kind).toBe(
      'invalid',
    )
    expect(parseModelsMessage({ type: 'manifest', manifests: ['A'.repeat(30_000)], names: [] }).kind).toBe(
      'invalid',
    )
    expect(parseModelsMessage({ type: 'of-tomorrow' }).kind).toBe('unknown')
    expect(parseModelsMessage(null).kind).toBe('invalid')
  })
})
