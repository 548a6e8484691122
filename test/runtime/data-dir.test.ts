import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { openDataDir, type DataDirOptions } from '../../runtime/data-dir.ts'
import { tempDir } from './support/temp-dir.ts'

async function opened(path: string, options?: DataDirOptions) {
  const dataDir = await openDataDir(path, options)
  onTestFinished(() => dataDir.close())
  return dataDir
}

async function holder(path: string): Promise<ChildProcess> {
  const script = new URL('./support/hold-lock.ts', import.meta.url)
  const child = fork(script, [path], { execArgv: ['--import', 'tsx'] })
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  await once(child, 'message')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

describe('a data directory', () => {
  it('is made with its parents, for its owner only', async () => {
    const path = join(await tempDir(), 'a', 'b')
    const { identity } = await opened(path)
    expect(identity.id).toHaveLength(64)
    expect(await modeOf(path)).toBe(0o700)
  })

  it('is closed to others when it was made by hand, but not when it holds other things', async () => {
    const empty = await tempDir()
    await chmod(empty, 0o755)
    await opened(empty)
    expect(await modeOf(empty)).toBe(0o700)
    const shared = await tempDir()
    await writeFile(join(shared, 'notes.txt'), '')
    await chmod(shared, 0o755)
    await opened(shared)
    expect(await modeOf(shared)).toBe(0o755)
  })

  it('is closed when what was being written is there', async () => {
    const path = await tempDir()
    const dataDir = await openDataDir(path)
    void dataDir.writeState('state.json', { written: true })
    await dataDir.close()
    expect((await readdir(path)).toSorted()).toEqual(['identity', 'state.json'])
  })

  it('leaves nothing but the identity behind', async () => {
    const path = await tempDir()
    const dataDir = await openDataDir(path)
    await dataDir.close()
    expect(await readdir(path)).toEqual(['identity'])
  })

  it('that is a file, or lies in one, is refused with the reason', async () => {
    const file = join(await tempDir(), 'file')
    await writeFile(file, '')
    for (const path of [file, join(file, 'below')]) {
      await expect(openDataDir(path)).rejects.toMatchObject({
        code: 'QM_DATA_DIR_UNUSABLE',
        message: expect.stringContaining(path) as string,
      })
    }
  })

  it.skipIf(process.getuid?.() === 0)('that cannot be written is refused with the reason', async () => {
    const path = join(await tempDir(), 'sealed')
    await mkdir(path, { mode: 0o500 })
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'QM_DATA_DIR_UNUSABLE',
      message: expect.stringContaining('permission denied') as string,
    })
  })

  it('that is refused for its identity is not left locked', async () => {
    const path = await tempDir()
    await writeFile(join(path, 'identity'), 'damaged', { mode: 0o600 })
    await expect(openDataDir(path)).rejects.toMatchObject({ code: 'QM_IDENTITY_INVALID' })
    await rm(join(path, 'identity'))
    await opened(path)
  })
})

describe('its lock', () => {
  it('keeps a second node in the same process out', async () => {
    const path = await tempDir()
    const first = await openDataDir(path)
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'QM_DATA_DIR_LOCKED',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    })
    await first.close()
    await opened(path)
  })

  it('that was lost is not the former owner’s to tidy up', async () => {
    const path = await tempDir()
    let notice = (): void => {}
    const isLost = new Promise<void>((resolve) => {
      notice = resolve
    })
    const dataDir = await openDataDir(path, { onLost: () => notice() })
    // Somebody takes it by force: this one looks at it every few seconds.
    await utimes(join(path, 'lock'), 0, 0)
    await isLost
    await writeFile(join(path, 'lock-owner.json'), 'the next one')
    await dataDir.close()
    expect(await readdir(path)).toContain('lock-owner.json')
  })

  it('that was given back is not given back again', async () => {
    const path = await tempDir()
    const dataDir = await openDataDir(path)
    await dataDir.close()
    const next = await openDataDir(path)
    await dataDir.close()
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'QM_DATA_DIR_LOCKED',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    })
    await next.close()
  })

  it('lets one of many that start at once in', async () => {
    const path = await tempDir()
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => openDataDir(path)))
    const winners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    await Promise.all(winners.map((winner) => winner.close()))
    expect(winners).toHaveLength(1)
  })

  it('names the other process, and is taken over at once when that was killed', async () => {
    const path = await tempDir()
    const child = await holder(path)
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'QM_DATA_DIR_LOCKED',
      message: expect.stringContaining(`process ${child.pid}`) as string,
    })
    await kill(child)
    const startedAt = performance.now()
    await opened(path)
    // An owner that says nothing, and may live, is waited for longer than that.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
  })

  it('of a stopped process is not taken, however old it looks', async () => {
    const path = await tempDir()
    const child = await holder(path)
    child.kill('SIGSTOP')
    await utimes(join(path, 'lock'), 0, 0)
    await expect(openDataDir(path)).rejects.toMatchObject({ code: 'QM_DATA_DIR_LOCKED' })
    child.kill('SIGCONT')
    await kill(child)
  })

  it.runIf(process.platform === 'linux')(
    'of a process id that another program got since is taken',
    async () => {
      const path = await tempDir()
      const child = await holder(path)
      await kill(child)
      const { hostname } = await import('node:os')
      const owner = { pid: process.pid, host: hostname(), startedAt: '1' }
      await writeFile(join(path, 'lock-owner.json'), JSON.stringify(owner))
      expect((await opened(path)).path).toBe(path)
    },
  )

  it('of another machine counts while it is fresh, and not when it is stale', async () => {
    const path = await tempDir()
    await mkdir(join(path, 'lock'))
    await writeFile(
      join(path, 'lock-owner.json'),
      JSON.stringify({ pid: 1, host: 'elsewhere', startedAt: '' }),
    )
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'QM_DATA_DIR_LOCKED',
      message: expect.stringContaining('process 1 on elsewhere') as string,
    })
    await utimes(join(path, 'lock'), 0, 0)
    await opened(path)
  })
})

describe('its state files', () => {
  const schema = z.array(z.string())

  it('come back as they were written', async () => {
    const dataDir = await opened(await tempDir())
    expect(await dataDir.readState('nodes.json', schema)).toBeUndefined()
    await dataDir.writeState('nodes.json', ['a', 'b'])
    expect(await dataDir.readState('nodes.json', schema)).toEqual(['a', 'b'])
  })

  it.each(['', '{', '[1]', `["${'x'.repeat(1024 * 1024)}"]`])(
    'that are damaged are ignored, and said so',
    async (text) => {
      const damaged: string[] = []
      const dataDir = await opened(await tempDir(), { onDamaged: (file) => damaged.push(file) })
      await writeFile(dataDir.file('nodes.json'), text)
      expect(await dataDir.readState('nodes.json', schema)).toBeUndefined()
      expect(damaged).toEqual([dataDir.file('nodes.json')])
    },
  )

  it('that cannot be written are said so, and fail nothing', async () => {
    const damaged: string[] = []
    const dataDir = await opened(await tempDir(), { onDamaged: (file) => damaged.push(file) })
    await dataDir.writeState('no/such/folder.json', [])
    expect(damaged).toEqual([dataDir.file('no/such/folder.json')])
  })
})
