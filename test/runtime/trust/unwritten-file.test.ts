import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createUnwrittenFile } from '../../../runtime/trust/unwritten-file.ts'

async function createRig() {
  const folder = await mkdtemp(join(tmpdir(), 'qmesh-unwritten-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'unwritten.json')
  const damaged: string[] = []
  return { path, damaged, file: createUnwrittenFile(path, ({ message }) => damaged.push(message)) }
}

it('holds as many entries as may wait for the log, and gives them back in order', async () => {
  const { file, damaged } = await createRig()
  expect(await file.read()).toEqual([])
  const entries = Array.from({ length: 10_000 }, (_, number) => {
    const entry = Buffer.alloc(600)
    entry.writeUInt32LE(number)
    return entry
  })
  await file.write(entries)
  const back = await file.read()
  expect(back).toHaveLength(10_000)
  expect(back.every((entry, number) => Buffer.from(entry).readUInt32LE() === number)).toBe(true)
  await file.write([])
  expect([await file.read(), damaged]).toEqual([[], []])
})

it('is as good as none when it is damaged or cannot be written, and says so', async () => {
  const { file, path, damaged } = await createRig()
  await writeFile(path, '{"entries":[1]}')
  expect(await file.read()).toEqual([])
  expect(damaged).toHaveLength(1)
  const nowhere = createUnwrittenFile(join(path, 'no-folder'), ({ message }) => damaged.push(message))
  await nowhere.write([Buffer.of(1)])
  expect(damaged).toHaveLength(2)
})
