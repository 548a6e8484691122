import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { cli, runMain } from './cli.ts'

const timeout = 60_000
/** A mesh that nobody is in, named by who set the machine up. */
const env = {
  QMESH_BOOTSTRAP: '127.0.0.1:1',
  QMESH_HOST: '127.0.0.1',
  QMESH_MDNS: 'false',
  QMESH_THREADS: '1',
  QMESH_GPU_LAYERS: '0',
}
const short = ['--wait', '0.2', '-n', '4', '-t', '0']
const told = 'no worker was reached: the built-in model on this machine answered\n'

describe('ask where no worker is', { timeout }, () => {
  it('says that the built-in model answered', async () => {
    const run = await runMain(await tempDir(), ['ask', ...short, 'hi'], { env })
    expect(run).toMatchObject({ code: 0, stderr: told })
    expect(run.stdout).toMatch(/\w/)
  })

  it('says that a data directory is of no use, and with it the standing of this machine', async () => {
    const home = await tempDir()
    await writeFile(join(home, 'file'), '')
    const dataDir = join(home, 'file', 'data')
    const run = await runMain(home, ['ask', ...short, '--data-dir', dataDir, 'hi'], { env })
    expect(run).toMatchObject({ code: 0 })
    expect(run.stderr).toContain(
      `${dataDir} cannot be used: it, or a part of its path, is not a folder; going on`,
    )
  })

  it('says so in --json, too', async () => {
    const run = await runMain(await tempDir(), ['ask', ...short, '--json', 'hi'], { env })
    expect(run).toMatchObject({ code: 0, stderr: told })
    expect(JSON.parse(run.stdout)).toMatchObject({ modelId: 'nano', isFallback: true })
  })

  it('says nothing of it with --local, which asked for that', async () => {
    const run = await runMain(await tempDir(), ['ask', ...short, '--local', '--json', 'hi'], { env })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(run.stdout)).not.toHaveProperty('isFallback')
  })

  it.each([[['--bootstrap', '127.0.0.1:1']], [['--secret', 'a wrong one']]])(
    'fails when the command line names the mesh: %j',
    async (flags) => {
      const run = await runMain(await tempDir(), ['ask', ...short, ...flags, 'hi'], { env })
      expect(run).toMatchObject({ code: 1, stdout: '' })
      expect(run.stderr).toMatch(/^error QM_NO_WORKERS: /)
      expect(run.stderr).toMatch(/^hint: --bootstrap and --secret must be .*; --local asks/m)
    },
  )

  it('chat says it once, and fails when the command line names the mesh', async () => {
    const input = 'hi\nhello\n'
    const run = await cli(await tempDir(), ['chat', ...short], { env, input })
    expect(run).toMatchObject({ code: 0, stderr: told })
    const named = await cli(await tempDir(), ['chat', ...short, '--secret', 'a wrong one'], { env, input })
    expect(named).toMatchObject({ code: 1, stdout: '' })
    expect(named.stderr).toContain('hint: --bootstrap and --secret must be')
  })
})
