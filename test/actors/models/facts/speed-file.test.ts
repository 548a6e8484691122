import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { SpeedFile } from '../../../../actors/models/facts/speed-file.ts'
import { tempFolder } from '../store/store-rig.ts'

const model = { hash: 'a'.repeat(64), id: 'tiny', bytes: 1_000 }

it('speeds outlive the process, and are not written after every answer', async () => {
  const path = join(tempFolder(), 'speeds.json')
  let now = 0
  const speeds = new SpeedFile(path, () => now)
  await speeds.note(model, 100, 1_000)
  await speeds.note(model, 200, 1_000)
  expect(await new SpeedFile(path).list()).toEqual([{ ...model, tokensPerSecond: 100 }])
  await speeds.save()
  expect(await new SpeedFile(path).list()).toEqual([{ ...model, tokensPerSecond: 120 }])
  await speeds.note(model, 120, 1_000)
  now = 60_000
  await speeds.note({ ...model, hash: 'b'.repeat(64) }, 10, 1_000)
  expect(await speeds.list()).toHaveLength(1)
})

it("a damaged file says nothing and stands in nobody's way", async () => {
  const path = join(tempFolder(), 'speeds.json')
  writeFileSync(path, '[{"hash": "x"}]')
  const speeds = new SpeedFile(path)
  expect(await speeds.list()).toEqual([])
  await speeds.note(model, 100, 1_000)
  expect(await new SpeedFile(path).list()).toEqual([{ ...model, tokensPerSecond: 100 }])
})

it('a folder that is gone is no error', async () => {
  const path = join(tempFolder(), 'gone', 'speeds.json')
  await new SpeedFile(path).note(model, 100, 1_000)
  expect(existsSync(path)).toBe(false)
})
