import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileTrial, type FileTrialOptions } from '../../../../actors/models/facts/file-trial.ts'
import { readModelFacts } from '../../../../actors/models/facts/model-facts.ts'
import type { GgufValue } from '../../../support/gguf-writer.ts'
import { createTinyBert } from '../../../support/tiny-bert.ts'
import { createTinyGguf } from '../../../support/tiny-gguf.ts'
import { sha256, tempFolder } from '../store/store-rig.ts'

const timeout = 60_000

function rig(bytes: Buffer, options: Partial<FileTrialOptions> = {}) {
  const dir = tempFolder()
  const path = join(dir, 'file.gguf')
  writeFileSync(path, bytes)
  const trials: (number | undefined)[] = []
  const trial = new FileTrial({ dir: join(dir, 'trials'), onTrial: (pid) => trials.push(pid), ...options })
  return { path, hash: sha256(bytes), trial, trials, dir }
}

/** A header that states no `llama.feed_forward_length`: the engine answers it by ending its process. */
function lying(): Buffer {
  const bytes = createTinyGguf()
  const key = 'llama.feed_forward_length'
  bytes.write('x', bytes.indexOf(key) + key.length - 1)
  return bytes
}

const isGone = (pid: number | undefined): boolean => {
  try {
    process.kill(pid ?? 0, 0)
    return false
  } catch {
    return true
  }
}

describe('a file that the engine crashes over', { timeout }, () => {
  it('passes every check of its form, is refused by its trial, and is tried once', async () => {
    const { path, hash, trial, trials, dir } = rig(lying())
    expect(readModelFacts(path).architecture).toBe('llama')
    for (let count = 0; count < 2; count++) {
      await expect(trial.check(path, hash)).rejects.toMatchObject({
        code: 'QM_MODEL_INVALID',
        message: expect.stringContaining('SIGABRT') as string,
      })
    }
    expect(trials).toHaveLength(1)
    // Another node of the same machine knows it, too.
    await expect(new FileTrial({ dir: join(dir, 'trials') }).check(path, hash)).rejects.toMatchObject({
      code: 'QM_MODEL_INVALID',
    })
  })
})

describe('a file over some text of which the engine would crash or never end', { timeout }, () => {
  const scores: readonly [string, GgufValue] = [
    'tokenizer.ggml.scores',
    ['array', Array.from({ length: 100 }, () => -1), 'float32'],
  ]
  /** A table of 128 units that are zero: every byte of ASCII stays in it, and no other does. */
  const table = [0, 2, 0, 0, ...Array.from({ length: 514 }, () => 0)]

  it.each<[string, readonly [string, GgufValue]]>([
    ['a table that leads out of itself', ['tokenizer.ggml.precompiled_charsmap', ['array', table, 'uint8']]],
    ['no token for some byte', ['tokenizer.ggml.model', ['string', 'rwkv']]],
  ])('loads and reads what is tried, and is refused: %s', async (_, lie) => {
    const said = [['tokenizer.ggml.model', ['string', 't5']] as const, scores, lie]
    const { path, hash, trial, trials } = rig(createTinyBert({ metadata: said }))
    for (let count = 0; count < 2; count++) {
      await expect(trial.check(path, hash)).rejects.toMatchObject({
        code: 'QM_MODEL_INVALID',
        message: expect.stringContaining('over some text') as string,
      })
    }
    expect(trials).toHaveLength(1)
  })
})

describe('a sound file', { timeout }, () => {
  it('passes its trial, and is tried once', async () => {
    const { path, hash, trial, trials } = rig(createTinyGguf())
    const remember = await trial.checkNew(path)
    await remember(hash)
    await trial.check(path, hash)
    expect(trials).toHaveLength(1)
    expect(trials.every(isGone)).toBe(true)
  })

  it('whose trial does not come to an end is refused, and is tried again', async () => {
    const { path, hash, trial, trials, dir } = rig(createTinyGguf(), { timeoutMs: () => 50 })
    await expect(trial.check(path, hash)).rejects.toMatchObject({ code: 'QM_MODEL_INVALID' })
    expect(trials.every(isGone)).toBe(true)
    expect(readdirSync(dir)).toEqual(['file.gguf'])
  })

  it('whose trial is broken off is neither sound nor refused, and nothing goes on', async () => {
    const abort = new AbortController()
    const { path, hash, trial, trials, dir } = rig(createTinyGguf(), {
      onTrial: (pid) => {
        trials.push(pid)
        abort.abort(new Error('enough'))
      },
    })
    await expect(trial.check(path, hash, abort.signal)).rejects.toThrow('enough')
    expect(trials.every(isGone)).toBe(true)
    expect(readdirSync(dir)).toEqual(['file.gguf'])
  })
})
