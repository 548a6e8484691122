import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GgufFileType } from 'node-llama-cpp'
import { expect, it } from 'vitest'
import { readMemoryNeeds } from '../../../../actors/models/facts/memory-needs.ts'
import { readModelFacts } from '../../../../actors/models/facts/model-facts.ts'
import { toQuantization } from '../../../../actors/models/facts/quantization.ts'
import { createTinyGguf, writeTinyGguf } from '../../../support/tiny-gguf.ts'
import { tempFolder } from '../store/store-rig.ts'

const nano = new URL('../../../../models/nano/qmesh-nano.gguf', import.meta.url).pathname

it('a file says what it is', () => {
  const path = writeTinyGguf(join(tempFolder(), 'tiny.gguf'), { contextTokens: 4_096, chatTemplate: null })
  expect(readModelFacts(path)).toEqual({
    architecture: 'llama',
    quantization: 'F32',
    parameters: 122_560,
    contextTokens: 4_096,
    embeddingLength: 64,
    hasChatTemplate: false,
  })
  expect(readModelFacts(nano)).toMatchObject({
    quantization: 'Q8_0',
    parameters: 2_262_720,
    hasChatTemplate: true,
  })
})

it('a chat template too long to be read is there all the same', () => {
  const path = writeTinyGguf(join(tempFolder(), 'tiny.gguf'), { chatTemplate: 'x'.repeat(100_000) })
  expect(readModelFacts(path).hasChatTemplate).toBe(true)
})

it('what a file says of itself cannot fool a reader', () => {
  const bytes = createTinyGguf()
  bytes.write('l\u001b[2', bytes.indexOf('llama', bytes.indexOf('general.architecture')))
  const path = join(tempFolder(), 'tiny.gguf')
  writeFileSync(path, bytes)
  expect(readModelFacts(path).architecture).toBe('l[2a')
})

it('file types have the names that the engine has for them', () => {
  for (const [name, number] of Object.entries(GgufFileType)) {
    const own = toQuantization(number, new Map())
    if (own !== 'unknown') expect(name.replace(/^MOSTLY_|^ALL_/, '')).toBe(own)
  }
  expect(
    toQuantization(
      undefined,
      new Map([
        [0, 5],
        [12, 900],
      ]),
    ),
  ).toBe('Q4_K')
  expect(toQuantization(9_999, new Map([[9_999, 1]]))).toBe('unknown')
})

it('memory is counted by the engine, more for a longer context', async () => {
  const needs = await readMemoryNeeds(nano)
  expect(needs.map(({ contextTokens }) => contextTokens)).toEqual([512, 1_024])
  expect(needs[0]?.bytes).toBeGreaterThan(2_400_000)
  expect(needs[1]?.bytes).toBeGreaterThan(needs[0]?.bytes ?? 0)
})
