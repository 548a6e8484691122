import { chmod, readdir, readFile, stat, writeFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import DHT from 'hyperdht'
import { describe, expect, it } from 'vitest'
import { createEphemeralIdentity, Identity, loadIdentity } from '../../runtime/identity.ts'
import { tempDir } from './support/temp-dir.ts'

const fresh = async () => join(await tempDir(), 'identity')

describe('an identity', () => {
  it('is created once and then stays the same, in a file only its owner can read', async () => {
    const path = await fresh()
    const first = await loadIdentity(path)
    const second = await loadIdentity(path)
    expect(first.id).toMatch(/^[0-9a-f]{64}$/)
    expect(second.id).toBe(first.id)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('is created by one of many that start at once, and taken by the others', async () => {
    const path = await fresh()
    const ids = await Promise.all(Array.from({ length: 8 }, async () => (await loadIdentity(path)).id))
    expect(new Set(ids).size).toBe(1)
    expect(await readdir(join(path, '..'))).toEqual(['identity'])
  })

  it('is the key that HyperDHT makes of the derived seed, and never the root seed itself', () => {
    const root = Buffer.alloc(32, 7)
    const identity = new Identity(root)
    const dhtKey = (DHT as unknown as { keyPair(seed: Buffer): { publicKey: Buffer } }).keyPair(
      identity.deriveSeed('noise'),
    )
    expect(identity.id).toBe(dhtKey.publicKey.toString('hex'))
    expect(identity.deriveSeed('noise')).not.toEqual(root)
    // Derivation is part of every identity there is, so these must never change. The first was computed by another
    // implementation: BLAKE2b-256 with the root as key, 1 as salt and "qmesh-id" as personalization.
    expect(identity.deriveSeed('noise').toString('hex')).toBe(
      '2cb05cb84887e935d77e38b6a032d5c8fc7578eef01e9cfd8268374bce22ae1a',
    )
    expect(identity.id).toBe('da132dcecbe03a51e161d8e518c1a2c3f788400dee18fabd4b582f7884191cb5')
  })

  it('has a key of its own for each use and, for logs, for each network', () => {
    const identity = new Identity(Buffer.alloc(32, 7))
    const [one, other] = ['01'.repeat(16), '02'.repeat(16)]
    const keys = [
      identity.noiseKeyPair(),
      identity.vrfKeyPair(),
      identity.logKeyPair(one),
      identity.logKeyPair(other),
    ].map(({ publicKey }) => publicKey.toString('hex'))
    expect(new Set(keys).size).toBe(4)
    expect(identity.logKeyPair(one)).toEqual(identity.logKeyPair(one))
  })

  it('keeps its seed out of logs and JSON', () => {
    const identity = createEphemeralIdentity()
    const seed = (JSON.parse(identity.toFile()) as { seed: string }).seed
    expect(JSON.stringify({ identity })).not.toContain(seed)
    expect(inspect(identity, { depth: 9, showHidden: true })).not.toContain(seed)
  })
})

describe('an identity file', () => {
  it.runIf(process.platform !== 'win32').each(['640', '604', '660', '777'])(
    'of mode %s is refused and left as it is',
    async (text) => {
      const mode = parseInt(text, 8)
      const path = await fresh()
      await loadIdentity(path)
      await chmod(path, mode)
      await expect(loadIdentity(path)).rejects.toMatchObject({
        code: 'QM_IDENTITY_EXPOSED',
        message: expect.stringContaining(`chmod 600 ${path}`) as string,
      })
      expect((await stat(path)).mode & 0o777).toBe(mode)
    },
  )

  it.each<[string, (text: string) => string]>([
    ['empty', () => ''],
    ['not JSON', () => 'x'],
    ['cut short', (text) => text.slice(0, 100)],
    ['of another version', (text) => text.replace('"version":1', '"version":2')],
    [
      'with a changed seed',
      (text) => text.replace(/"seed":"./, (start) => start.slice(0, -1) + (start.endsWith('0') ? '1' : '0')),
    ],
    ['of another node', (text) => text.replace(/"id":".{64}/, `"id":"${'0'.repeat(64)}`)],
    ['far too long', (text) => text + ' '.repeat(5_000)],
  ])('that is %s is refused and never overwritten', async (_, damage) => {
    const path = await fresh()
    await loadIdentity(path)
    const damaged = damage(await readFile(path, 'utf8'))
    await writeFile(path, damaged)
    await expect(loadIdentity(path)).rejects.toMatchObject({ code: 'QM_IDENTITY_INVALID' })
    expect(await readFile(path, 'utf8')).toBe(damaged)
  })

  it('that is a folder is refused, with no advice about its mode', async () => {
    const path = await fresh()
    await mkdir(path, { recursive: true })
    await expect(loadIdentity(path)).rejects.toMatchObject({ code: 'QM_IDENTITY_INVALID' })
  })
})
