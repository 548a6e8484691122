import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { writeTinyGguf } from '../support/tiny-gguf.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { startCli } from './cli.ts'

const flags =
  '--bootstrap 127.0.0.1:1 --host 127.0.0.1 --no-mdns --no-gateway --context-tokens 512 --threads 1 --gpu-layers 0'.split(
    ' ',
  )

/** A node of its own, whose DHT nobody answers. */
async function startUp(files: Readonly<Record<string, 'sound' | 'broken' | 'missing'>>) {
  const home = await tempDir()
  const args = Object.entries(files).flatMap(([name, state]) => {
    const path = join(home, `${name}.gguf`)
    if (state === 'sound') writeTinyGguf(path, { isEndless: true })
    if (state === 'broken') writeFileSync(path, 'GGUF of nothing')
    return ['--model', path]
  })
  const dataDir = join(home, 'node')
  const child = startCli(home, ['up', ...args, ...flags, `--data-dir=${dataDir}`])
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (out[name] += text))
  const ended = new Promise<number | null>((resolve) => void child.once('close', resolve))
  return { child, out, ended, dataDir }
}

describe('qmesh-node up', { timeout: 90_000 }, () => {
  it('ends with 1 when none of its models can be loaded, and says why of each', async () => {
    const { out, ended } = await startUp({ one: 'broken', two: 'missing' })
    expect(await ended).toBe(1)
    expect(out.stderr).toMatch(/^model one failed: QM_MODEL_FILE_INVALID: /m)
    expect(out.stderr).toMatch(/^model two failed: QM_MODEL_FILE_MISSING: /m)
    expect(out.stderr).toContain('none of the models could be loaded')
    expect(out.stderr).toMatch(/^error QM_MODEL_FILE_INVALID: /m)
    expect(out.stdout).not.toContain('ready')
    expect(out.stderr).not.toContain('tried again')
  })

  it('goes on with those that can be loaded, and says what the others failed with', async () => {
    const { child, out, ended, dataDir } = await startUp({ one: 'broken', tiny: 'sound' })
    await vi.waitFor(() => expect(out.stdout).toContain('ready; ask it'), { timeout: 60_000 })
    expect(out.stdout).toContain(`qmesh-node ask --data-dir ${dataDir} "`)
    expect(out.stderr).toMatch(/^model one failed, going on without it: QM_MODEL_FILE_INVALID: /m)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })
})
