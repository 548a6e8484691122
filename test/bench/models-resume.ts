import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createBootstrap } from '../../actors/swarm/index.ts'
import { ModelsPeer } from '../support/models-peer.ts'
import { createManifest, createModelFile } from '../support/models-rig.ts'

/**
 * A process that fetches from another one is killed with SIGKILL when it has half of the file, and starts again.
 *
 * @returns share of what it had done that it had to fetch again, and milliseconds of its start until it went on
 */
export async function resumeAfterKill(
  folder: string,
  bytes: number,
): Promise<{ readonly refetchedShare: number; readonly resumeMs: number }> {
  const bootstrap = await createBootstrap({ host: '127.0.0.1', port: 0, mdns: false })
  const peers: ModelsPeer[] = []
  const start = async (name: string): Promise<ModelsPeer> => {
    const peer = new ModelsPeer(join(folder, name), bootstrap.address)
    peers.push(peer)
    await peer.until('up')
    return peer
  }
  try {
    const file = createModelFile(bytes)
    const path = join(folder, 'resumed.gguf')
    writeFileSync(path, file)
    const seeder = await start('resume-seeder')
    seeder.order({ type: 'add', path, manifest: createManifest(file, [{ kind: 'peers' }]) })
    const { core } = await seeder.until('core')
    const manifest = createManifest(file, [{ kind: 'peers' }], { core })
    const first = await start('resume-reader')
    first.order({ type: 'pull', manifest, bytesPerSecond: bytes / 4 })
    const { doneBytes } = await first.until('progress', (report) => report.doneBytes > bytes / 2)
    await first.kill()
    const again = await start('resume-reader')
    const startMs = performance.now()
    again.order({ type: 'pull', manifest })
    const resumed = await again.until('progress', (report) => report.doneBytes > 0)
    const resumeMs = performance.now() - startMs
    await again.until('pulled')
    return { refetchedShare: Math.max(0, doneBytes - resumed.doneBytes) / doneBytes, resumeMs }
  } finally {
    await Promise.all(peers.map((peer) => peer.kill()))
    await bootstrap.close()
  }
}
