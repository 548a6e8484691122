import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { checkGgufFile } from '../../../actors/inference/gguf/header.ts'
import { QMeshError } from '../../../protocol/index.ts'
import { createTinyGguf } from '../../support/tiny-gguf.ts'

const folder = mkdtempSync(join(tmpdir(), 'qmesh-gguf-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'fuzzed.gguf')
const sound = createTinyGguf()
const headerBytes = sound.indexOf('output.weight') + 50

const codes: readonly unknown[] = ['QM_MODEL_FILE_INVALID', 'QM_MODEL_UNSUPPORTED']

/** Passes, or ends in a code; never in another error, nor in much memory. */
function endsWell(bytes: Uint8Array): boolean {
  writeFileSync(path, bytes)
  try {
    checkGgufFile(path)
    return true
  } catch (error) {
    return error instanceof QMeshError && codes.includes(error.code)
  }
}

describe('the GGUF header check', () => {
  it('survives any bytes after the magic', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (tail) => {
        expect(endsWell(Buffer.concat([sound.subarray(0, 8), tail]))).toBe(true)
      }),
    )
  })

  it('survives any flipped bytes in a real header', () => {
    const flips = fc.array(fc.tuple(fc.nat(headerBytes), fc.nat(255)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(flips, (changes) => {
        const bytes = Buffer.from(sound)
        for (const [at, value] of changes) bytes[at] = value
        expect(endsWell(bytes)).toBe(true)
      }),
    )
  })

  it('refuses a file cut anywhere', () => {
    fc.assert(
      fc.property(fc.nat(sound.length - 40), (length) => {
        writeFileSync(path, sound.subarray(0, length))
        expect(() => checkGgufFile(path)).toThrow(QMeshError)
      }),
    )
  })
})
