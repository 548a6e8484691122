import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBootstrap } from '../../actors/swarm/index.ts'
import { ModelsPeer } from '../support/models-peer.ts'
import { ModelServer } from '../support/model-server.ts'
import { createManifest, createModelFile } from '../support/models-rig.ts'

describe('models between processes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'qmesh-models-mesh-'))
  const peers: ModelsPeer[] = []
  let bootstrap: Awaited<ReturnType<typeof createBootstrap>>
  beforeAll(async () => {
    bootstrap = await createBootstrap({ host: '127.0.0.1', port: 0, mdns: false })
  })
  afterAll(async () => {
    await Promise.all(peers.map((peer) => peer.kill()))
    await bootstrap.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const start = (name: string): ModelsPeer => {
    const { host, port } = bootstrap.address
    const peer = new ModelsPeer(join(folder, name), { host, port })
    peers.push(peer)
    return peer
  }

  it('moves from one to two others, which give it to each other; one is killed half-way and goes on', async () => {
    const file = createModelFile(12 * 1024 * 1024)
    const path = join(folder, 'model.gguf')
    writeFileSync(path, file)
    const [seeder, one, two] = [start('seeder'), start('one'), start('two')]
    await Promise.all([seeder, one, two].map((peer) => peer.until('up')))
    seeder.order({ type: 'add', path, manifest: createManifest(file, [{ kind: 'peers' }]) })
    const { core } = await seeder.until('core')
    const manifest = createManifest(file, [{ kind: 'peers' }], { core })
    one.order({ type: 'pull', manifest, bytesPerSecond: 4 * 1024 * 1024 })
    two.order({ type: 'pull', manifest, bytesPerSecond: 6 * 1024 * 1024 })
    const { doneBytes } = await two.until('progress', (report) => report.doneBytes > file.length / 3)
    await two.kill()
    const again = start('two')
    await again.until('up')
    again.order({ type: 'pull', manifest })
    const [first, second] = await Promise.all([one.until('pulled'), again.until('pulled')])
    expect(readFileSync(first.path).equals(file)).toBe(true)
    expect(readFileSync(second.path).equals(file)).toBe(true)
    // At most a hundredth of what was there is fetched again.
    const resumed = await again.until('progress', (report) => report.doneBytes > 0)
    expect(resumed.doneBytes).toBeGreaterThanOrEqual(doneBytes * 0.99 - 65_536)
    await seeder.kill()
    const third = start('third')
    await third.until('up')
    third.order({ type: 'pull', manifest })
    const pulled = await third.until('pulled')
    expect(readFileSync(pulled.path).equals(file)).toBe(true)
  })

  it('goes on after kill -9 with what a web server gave', async () => {
    const file = createModelFile(8 * 1024 * 1024)
    const server = await ModelServer.start({ data: file, etag: '"1"' })
    try {
      const manifest = createManifest(file, [{ kind: 'https', url: server.url() }])
      const first = start('web')
      await first.until('up')
      first.order({ type: 'pull', manifest, bytesPerSecond: 4 * 1024 * 1024 })
      const { doneBytes } = await first.until('progress', (report) => report.doneBytes > file.length / 3)
      await first.kill()
      const before = server.requests.length
      const again = start('web')
      await again.until('up')
      again.order({ type: 'pull', manifest })
      const { path } = await again.until('pulled')
      expect(readFileSync(path).equals(file)).toBe(true)
      const [resumed] = server.requests.slice(before)
      const from = Number(/^bytes=(\d+)-/.exec(resumed?.range ?? '')?.[1])
      expect(from).toBeGreaterThanOrEqual(doneBytes * 0.99)
    } finally {
      await server.stop()
    }
  })
})
