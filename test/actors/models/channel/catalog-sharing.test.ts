import { raw } from 'compact-encoding'
import DHT from 'hyperdht'
import Protomux from 'protomux'
import { afterEach, describe, expect, it } from 'vitest'
import { type CatalogPort, CatalogSharing } from '../../../../actors/models/channel/catalog-sharing.ts'
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

function createSide(
  trusted: readonly string[] = [publisher.id],
  stored: readonly ModelManifest[] = [],
  offer?: CatalogPort['offer'],
) {
  const catalog = new ModelCatalog(trusted)
  const [violations, warnings]: [string[], string[]] = [[], []]
  const sharing = new CatalogSharing({
    settleMs: 0,
    catalog: {
      find: (name) => stored.filter(({ id, artifact }) => id === name || artifact.sha256 === name),
      offer: (manifest) => offer?.(manifest) ?? Promise.resolve(catalog.offer(manifest, 'network')),
    },
    onViolation: (_, code, detail) => violations.push(`${code} ${detail}`),
    onWarning: (message) => warnings.push(message),
  })
  return { catalog, sharing, violations, warnings }
}
type Side = ReturnType<typeof createSide>

function connect(a: Side, b: Side): void {
  const ends = createConnection()
  connections.push(ends)
  a.sharing.connect(ends.right.publicKey.toString('hex'), ends.left)
  b.sharing.connect(ends.left.publicKey.toString('hex'), ends.right)
}

describe('what peers know of a name', () => {
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

  it('blames no peer for a disk that is full here', async () => {
    const full = () => Promise.reject(new Error('ENOSPC: no space left on device'))
    const [a, b] = [createSide([], [manifestOf()]), createSide([publisher.id], [], full)]
    connect(a, b)
    expect(await b.sharing.find(hash, new AbortController().signal)).toMatchObject([{ id: 'tiny' }])
    expect(b.violations).toEqual([])
    expect(b.warnings).toEqual([expect.stringContaining('ENOSPC')])
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
    message?.send(encodeFrame({ type: 'catalog-have', catalogs: 'all of them' }))
    message?.send(Buffer.from('nothing that is a frame'))
    await expect.poll(() => side.violations.length).toBe(3)
    expect(side.catalog.list()).toEqual([])
    expect(side.violations[0]).toContain('QM_MANIFEST_INVALID')
  })
})

describe('messages about models', () => {
  it('have bounds, and later types are ignored', () => {
    const ref = { publisher: publisher.id, version: 1, hash }
    const have = (count: number) => ({
      type: 'catalog-have',
      catalogs: Array.from({ length: count }, () => ref),
    })
    expect(parseModelsMessage(have(256)).kind).toBe('message')
    expect(parseModelsMessage({ type: 'catalog', catalog: 'A'.repeat(699_052) }).kind).toBe('message')
    for (const wrong of [
      have(257),
      { type: 'catalog-have', catalogs: [{ ...ref, version: -1 }] },
      { type: 'catalog-have', catalogs: [{ ...ref, version: 2 ** 32 }] },
      { type: 'catalog-want', publisher: 'alice' },
      { type: 'catalog', catalog: 'A'.repeat(699_056) },
      { type: 'manifest-want', names: ['x'.repeat(129)] },
      { type: 'manifest', manifests: ['A'.repeat(30_000)], names: [] },
      null,
    ])
      expect(parseModelsMessage(wrong).kind).toBe('invalid')
    expect(parseModelsMessage({ type: 'of-tomorrow' }).kind).toBe('unknown')
  })
})
