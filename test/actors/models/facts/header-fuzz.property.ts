import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { toModelFacts } from '../../../../actors/models/facts/model-facts.ts'
import { checkGgufFile } from '../../../../actors/inference/gguf/header.ts'
import { QMeshError } from '../../../../protocol/index.ts'
import { modelFactsSchema } from '../../../../protocol/models/index.ts'
import { tempFolder } from '../store/store-rig.ts'

// The built-in model: a real vocabulary, real quantization, a real template.
const sound = readFileSync(new URL('../../../../models/nano/qmesh-nano.gguf', import.meta.url))

/** Facts that a manifest can hold, or a code; never another error. */
function endsWell(path: string): boolean {
  try {
    return modelFactsSchema.safeParse(toModelFacts(checkGgufFile(path))).success
  } catch (error) {
    if (error instanceof QMeshError)
      return ['QM_MODEL_FILE_INVALID', 'QM_MODEL_UNSUPPORTED'].includes(error.code)
    throw error
  }
}

it('any change of a real header ends in facts within bounds or in a code, and in little memory', () => {
  const path = join(tempFolder(), 'fuzzed.gguf')
  writeFileSync(path, sound)
  const { dataOffset } = checkGgufFile(path)
  const at = fc.nat(dataOffset - 9)
  // Counts and lengths are eight bytes long: a whole one at its extremes finds more than a flipped bit.
  const extreme = fc.constantFrom(
    0n,
    1n,
    0x7fff_ffffn,
    0xffff_ffffn,
    2n ** 40n,
    2n ** 53n,
    2n ** 63n,
    2n ** 64n - 1n,
  )
  const change = fc.oneof(fc.record({ at, byte: fc.nat(255) }), fc.record({ at, word: extreme }))
  const before = process.memoryUsage().rss
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat(20), (changes, cut) => {
      const bytes = Buffer.from(
        sound.subarray(0, cut === 0 ? sound.length : Math.floor((sound.length * cut) / 20)),
      )
      for (const one of changes) {
        if (one.at + 8 > bytes.length) continue
        if ('word' in one) bytes.writeBigUInt64LE(one.word, one.at)
        else bytes[one.at] = one.byte
      }
      writeFileSync(path, bytes)
      expect(endsWell(path)).toBe(true)
    }),
    { numRuns: 300, interruptAfterTimeLimit: 4_000 },
  )
  expect(process.memoryUsage().rss - before).toBeLessThan(512 * 1024 ** 2)
})
