import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkGgufFile } from '../../../actors/inference/gguf/header.ts'
import type { FileStamp } from '../../../actors/inference/hash-cache.port.ts'
import { ask, createInferenceRig } from '../../support/inference-rig.ts'
import { createTinyGguf, writeTruncatedGguf } from '../../support/tiny-gguf.ts'

const rig = createInferenceRig()
afterAll(() => rig.close())

const at = (name: string): string => join(rig.folder, name)
const write = (name: string, bytes: Buffer): string => {
  writeFileSync(at(name), bytes)
  return at(name)
}

/** A tiny model with some bytes replaced. */
function damaged(name: string, change: (bytes: Buffer) => void): string {
  const bytes = createTinyGguf()
  change(bytes)
  return write(name, bytes)
}

describe('a bad model file is refused before native code sees it', () => {
  it.each([
    ['missing', () => at('none.gguf'), 'QM_MODEL_FILE_MISSING', /cannot be read \(ENOENT\)/],
    [
      'a directory',
      () => {
        mkdirSync(at('folder.gguf'), { recursive: true })
        return at('folder.gguf')
      },
      'QM_MODEL_FILE_MISSING',
      /not a file/,
    ],
    ['empty', () => write('empty.gguf', Buffer.alloc(0)), 'QM_MODEL_FILE_INVALID', /not a GGUF file/],
    ['text', () => write('text.gguf', Buffer.from('x'.repeat(999))), 'QM_MODEL_FILE_INVALID', /not a GGUF/],
    [
      'cut in the header',
      () => writeTruncatedGguf(at('cut1.gguf'), 0.01),
      'QM_MODEL_FILE_INVALID',
      /cut short/,
    ],
    [
      'cut in the tensors',
      () => writeTruncatedGguf(at('cut2.gguf'), 0.9),
      'QM_MODEL_FILE_INVALID',
      /cut short/,
    ],
    [
      'of an unknown version',
      () => damaged('version.gguf', (bytes) => bytes.writeUInt32LE(99, 4)),
      'QM_MODEL_UNSUPPORTED',
      /version 99/,
    ],
    [
      'with an absurd number of tensors',
      () => damaged('tensors.gguf', (bytes) => bytes.writeBigUInt64LE(2n ** 60n, 8)),
      'QM_MODEL_FILE_INVALID',
      /tensors/,
    ],
    [
      'with an absurd number of metadata',
      () => damaged('metadata.gguf', (bytes) => bytes.writeBigUInt64LE(2n ** 63n, 16)),
      'QM_MODEL_FILE_INVALID',
      /metadata entries/,
    ],
    [
      'with a text that would fill memory',
      () => damaged('string.gguf', (bytes) => bytes.writeBigUInt64LE(2n ** 40n, 24)),
      'QM_MODEL_FILE_INVALID',
      /bytes of text/,
    ],
    [
      'with a tensor beyond its end',
      () =>
        damaged('beyond.gguf', (bytes) => {
          const name = bytes.indexOf('token_embd.weight')
          bytes.writeBigUInt64LE(2n ** 40n, name + 'token_embd.weight'.length + 4)
        }),
      'QM_MODEL_FILE_INVALID',
      /token_embd.weight/,
    ],
  ])('%s', (_, create, code, message) => {
    const check = (): unknown => checkGgufFile(create())
    expect(check).toThrow(expect.objectContaining({ name: 'QMeshError', code }) as Error)
    expect(check).toThrow(message)
  })

  // The engine asserts these, which would end the process.
  it.each([
    ['llama.block_count', 0],
    ['llama.block_count', 0xffff_ffff],
    ['llama.feed_forward_length', 0],
    ['llama.attention.head_count', 0],
    ['llama.attention.head_count_kv', 0],
    ['llama.attention.head_count_kv', 7],
    ['llama.attention.layer_norm_rms_epsilon', 0xffc0_0000],
    ['llama.attention.layer_norm_rms_epsilon', 0xbf80_0000],
  ])('with %s of the bits %d', (key, bits) => {
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(key.length))
    const path = damaged('parameter.gguf', (bytes) => {
      const value = bytes.indexOf(Buffer.concat([length, Buffer.from(key)])) + 8 + key.length + 4
      bytes.writeUInt32LE(bits, value)
    })
    expect(() => checkGgufFile(path)).toThrow(
      expect.objectContaining({ code: 'QM_MODEL_FILE_INVALID' }) as Error,
    )
    expect(() => checkGgufFile(path)).toThrow(key)
  })

  it('through the engine too', async () => {
    const missing = rig.load({ id: 'bad', path: at('none.gguf') })
    await expect(missing).rejects.toMatchObject({ code: 'QM_MODEL_FILE_MISSING' })
    const cut = rig.load({ id: 'bad', path: writeTruncatedGguf(at('cut3.gguf'), 0.5) })
    await expect(cut).rejects.toMatchObject({ code: 'QM_MODEL_FILE_INVALID' })
    const alien = damaged('alien.gguf', (bytes) => void bytes.write('zzzzz', bytes.indexOf('llama')))
    const unknown = rig.load({ id: 'bad', path: alien })
    await expect(unknown).rejects.toMatchObject({ code: 'QM_MODEL_UNSUPPORTED' })
    await expect(unknown).rejects.toThrow(/zzzzz/)
  })

  it('too large for memory', async () => {
    const spec = rig.model({ contextTokens: 16_000_000, slots: 64 })
    const loading = rig.load(spec)
    await expect(loading).rejects.toMatchObject({ code: 'QM_MODEL_TOO_LARGE' })
    await expect(loading).rejects.toThrow(/needs about \d+ MB, \d+ MB are available/)
  })

  it('other than its manifest says', async () => {
    const loading = rig.load(rig.model({ expectedHash: 'a'.repeat(64) }))
    await expect(loading).rejects.toMatchObject({ code: 'QM_MODEL_HASH_MISMATCH' })
  })
})

describe.skipIf(process.platform === 'win32')('what is no file at all', () => {
  it.each([
    ['a named pipe that nobody writes into', (path: string) => void execFileSync('mkfifo', [path])],
    ['a link to itself', (path: string) => symlinkSync(path, path)],
    ['a device without end', (path: string) => symlinkSync('/dev/zero', path)],
  ])('%s is refused at once, by the engine too', async (name, create) => {
    const path = at(`${name.replaceAll(' ', '-')}.gguf`)
    create(path)
    expect(() => checkGgufFile(path)).toThrow(
      expect.objectContaining({ code: 'QM_MODEL_FILE_MISSING' }) as Error,
    )
    await expect(rig.load({ id: 'bad', path })).rejects.toMatchObject({ code: 'QM_MODEL_FILE_MISSING' })
  })
})

describe('the hash of a model', () => {
  it('is the SHA-256 of its file, computed once for an unchanged file', async () => {
    const spec = rig.model()
    const expected = createHash('sha256').update(readFileSync(spec.path)).digest('hex')
    const entries = new Map<string, { stamp: FileStamp; hash: string }>()
    let hits = 0
    const hashCache = {
      get: (path: string, stamp: FileStamp) => {
        const entry = entries.get(path)
        if (entry?.stamp.modifiedMs !== stamp.modifiedMs) return Promise.resolve(undefined)
        hits++
        return Promise.resolve(entry.hash)
      },
      set: (path: string, stamp: FileStamp, hash: string) => {
        entries.set(path, { stamp, hash })
        return Promise.resolve()
      },
    }
    for (const expectedHits of [0, 1]) {
      const host = await rig.load({ ...spec, expectedHash: expected }, { hashCache })
      expect(host.model.hash).toBe(expected)
      expect(hits).toBe(expectedHits)
      await host.close()
    }
  })
})

describe('a sound file', () => {
  it('is read for what it says of itself', () => {
    const { metadata, tensorCount, dataOffset } = checkGgufFile(rig.model().path)
    expect(metadata.get('general.architecture')).toBe('llama')
    expect(metadata.get('llama.context_length')).toBe(2_048)
    expect(tensorCount).toBe(21)
    expect(dataOffset % 32).toBe(0)
  })

  it('gets context and slots by default from what it was trained for and the memory', async () => {
    const { id, path } = rig.model()
    const host = await rig.load({ id, path })
    expect(host.model).toMatchObject({ contextTokens: 2_048, slots: 4 })
  })

  it('without a usable chat template still chats', async () => {
    const host = await rig.load(rig.model({ chatTemplate: '{{ broken' }))
    const answer = await ask(host, { messages: [{ role: 'user', content: 'hello' }], maxTokens: 4 })
    expect(answer.result.completionTokens).toBeGreaterThan(0)
  })
})
