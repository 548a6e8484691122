import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cli, startCli } from '../bin/cli.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'

/** A folder for temporary files, to see what is left in it. */
async function temporary(): Promise<{ readonly home: string; readonly tmp: string }> {
  const home = await tempDir()
  const tmp = join(home, 'tmp')
  await mkdir(tmp)
  return { home, tmp }
}

const demosIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.startsWith('qmesh-demo-'))

describe('qmesh-node demo', () => {
  it('keeps every promise, and leaves nothing behind', async () => {
    const { home, tmp } = await temporary()
    const { code, stdout, stderr } = await cli(home, ['demo', '--json', '--seed', '7'], {
      env: { TMPDIR: tmp },
    })
    expect(stderr).toBe('')
    const summary = JSON.parse(stdout)
    expect(summary.promises.filter(({ isKept }: { isKept: boolean }) => !isKept)).toEqual([])
    expect(summary).toMatchObject({ isKept: true, seed: 7, stream: { isSame: true } })
    expect(summary.stream.handovers).toHaveLength(1)
    expect(summary.questions.answered).toBe(summary.questions.asked)
    expect(code).toBe(0)
    expect(await demosIn(tmp)).toEqual([])
  })

  // The workers are what notices that a demo was killed: on Windows nobody can be asked to be killed like that.
  it.skipIf(process.platform === 'win32')('is not survived by its workers, however it ends', async () => {
    const { home, tmp } = await temporary()
    const demo = startCli(home, ['demo'], { env: { TMPDIR: tmp } })
    let said = ''
    demo.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await expect.poll(() => said, { timeout: 60_000 }).toContain('every slot is taken')
    expect(await demosIn(tmp)).toHaveLength(1)
    const exited = once(demo, 'exit')
    demo.kill('SIGKILL')
    await exited
    await expect.poll(() => demosIn(tmp), { timeout: 30_000 }).toEqual([])
  })

  it('stops at Ctrl-C', async () => {
    const { home, tmp } = await temporary()
    const demo = startCli(home, ['demo'], { env: { TMPDIR: tmp } })
    let said = ''
    demo.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await expect.poll(() => said, { timeout: 60_000 }).toContain('a bootstrap at')
    const exited = once(demo, 'exit')
    demo.kill('SIGINT')
    expect((await exited)[0]).toBe(130)
    expect(await demosIn(tmp)).toEqual([])
  })
})
