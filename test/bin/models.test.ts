import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readModelFacts } from '../../actors/models/facts/model-facts.ts'
import { isManifestSigned, parseManifest } from '../../protocol/models/index.ts'
import { loadIdentity } from '../../runtime/identity.ts'
import { tinyFile } from '../actors/models/store/store-rig.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { runMain } from './cli.ts'

const timeout = 30_000

/** A machine with a home of its own, and commands on its models. */
async function machine() {
  const home = await tempDir()
  const models = (...args: string[]) => runMain(home, ['models', ...args])
  const json = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await models(...args, '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return JSON.parse(stdout)
  }
  return { home, dataDir: join(home, 'data', 'qmesh'), models, json }
}

describe('qmesh-node models', { timeout }, () => {
  it('finds models of the catalog, and says whether they fit', async () => {
    const { models, json } = await machine()
    const found = (await json('search', 'llama', '1b')) as { id: string }[]
    expect(found.map(({ id }) => id)).toEqual(['llama-3.2-1b-instruct'])
    const { stdout } = await models('info', 'llama-3.2-1b-instruct')
    expect(stdout).toMatch(/^licence +other, https:/m)
    expect(stdout).toMatch(/^sha256 +unverified: it is pinned on the first fetch$/m)
    expect(stdout).toMatch(/^fits +(yes|no): .*about .*GB/m)
    expect(stdout).toMatch(
      /^source +hf:bartowski\/Llama-3.2-1B-Instruct-GGUF\/Llama-3.2-1B-Instruct-Q4_K_M.gguf$/m,
    )
    expect(await models('list')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('no model is here') as string,
    })
  })

  it('says which models make embeddings, and how to ask them', async () => {
    const { models } = await machine()
    const { stdout } = await models('info', 'all-minilm-l6-v2')
    expect(stdout).toMatch(/^kind +embedding$/m)
    expect(stdout).toMatch(/^embeddings +384 numbers a text; it answers nothing, .*qmesh-node embed/m)
    expect((await models('info', 'smollm2-135m-instruct')).stdout).not.toMatch(/^embeddings/m)
  })

  it('tells of the built-in model like of any other, and that it is not one to be kept here', async () => {
    const { models, json } = await machine()
    const { stdout } = await models('info', 'nano')
    expect(stdout).toMatch(/^licence +MIT$/m)
    expect(stdout).toMatch(/^publisher +nobody \(built-in\)$/m)
    expect(stdout).toMatch(/^on this machine +.*qmesh-nano\.gguf, in place$/m)
    expect(stdout).toMatch(/^fits +yes: a context of 1024 tokens/m)
    const { path, manifest, hash, bytes } = (await json('info', 'nano')) as {
      path: string
      manifest: { facts: unknown }
      hash: string
      bytes: number
    }
    // What the manifest says of the file is what the file says of itself.
    expect(manifest.facts).toEqual(readModelFacts(path))
    const file = readFileSync(path)
    expect([hash, bytes]).toEqual([createHash('sha256').update(file).digest('hex'), file.length])
    for (const command of ['rm', 'verify', 'pin'])
      expect(await models(command, 'nano')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('it comes with QMesh') as string,
      })
  })

  it('suggests what a mistyped name may have meant', async () => {
    const { models } = await machine()
    const { code, stderr } = await models('info', 'lama-3.2-1b')
    expect(code).toBe(1)
    expect(stderr).toContain('QM_MODEL_NOT_FOUND')
    expect(stderr).toContain('"llama-3.2-1b-instruct"')
  })

  it('lists what can be fetched when nobody says what to fetch', async () => {
    const { models } = await machine()
    const { code, stdout, stderr } = await models('pull')
    expect(code).toBe(2)
    expect(stdout).toMatch(/^smollm2-135m-instruct +chat/m)
    expect(stderr).toContain('name the models to fetch, as in: qmesh-node models pull smollm2-135m-instruct')
    expect(JSON.parse((await models('pull', '--json')).stdout)).toMatchObject({ error: { code: 'QM_USAGE' } })
  })

  it('adds a file, lists it, checks it, pins it, and removes it', async () => {
    const { home, models, json } = await machine()
    const { path, hash } = tinyFile(home)
    const added = await models('add', path, '--id', 'mine', '--copy', '--no-trial')
    expect(added).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining(hash.slice(0, 12)) as string,
    })
    expect(await json('list')).toMatchObject([{ id: 'mine', hash, isReference: false }])
    expect((await models('list')).stdout).toMatch(/^mine +chat +500 kB/m)
    expect((await models('info', 'mine')).stdout).toMatch(/^fits +yes: a context of 2048 tokens/m)
    expect(await json('pin', 'mine')).toMatchObject({ isPinned: true })
    expect(await json('cache', '--prune', '--limit-gb', '0')).toMatchObject({ models: 1, pruned: [] })
    expect(await json('pin', 'mine', '--off')).toMatchObject({ isPinned: false })
    expect(await models('verify')).toMatchObject({ code: 0, stderr: 'mine: sound\n' })
    expect(await json('rm', 'mine')).toMatchObject([{ id: 'mine' }])
    expect(await json('list')).toEqual([])
  })

  it('finds damage, says where and what to do, and ends with a code', async () => {
    const { home, dataDir, models, json } = await machine()
    const { path, hash } = tinyFile(home)
    await models('add', path, '--id', 'mine', '--move', '--no-trial')
    const blob = join(dataDir, 'models', 'blobs', `${hash}.gguf`)
    const bytes = readFileSync(blob)
    bytes[70_000] = (bytes[70_000] ?? 0) ^ 1
    writeFileSync(blob, bytes)
    const { code, stderr } = await models('verify', 'mine')
    expect(code).toBe(1)
    expect(stderr).toContain('mine: 65.5 kB in 1 places are wrong')
    expect(stderr).toContain('QM_MODEL_DAMAGED')
    const again = await models('verify', 'mine', '--json')
    expect(again.code).toBe(1)
    expect(JSON.parse(again.stdout)).toMatchObject([
      { isSound: false, damaged: [{ start: 65_536, end: 131_072 }] },
    ])
    expect(await json('list')).toMatchObject([{ id: 'mine', state: 'damaged' }])
  })

  it('refuses what is no model, and says what came', async () => {
    const { home, models } = await machine()
    writeFileSync(join(home, 'text.gguf'), 'not a model')
    for (const [args, code] of [
      [['add', join(home, 'text.gguf')], 'QM_MODEL_FILE_INVALID'],
      [['add', join(home, 'none.gguf')], 'QM_MODEL_FILE_MISSING'],
      [['add', join(home, 'text.gguf'), '--copy', '--move'], 'QM_USAGE'],
      [['rm', 'nothing-like-it'], 'QM_MODEL_NOT_FOUND'],
      [['trust', 'abc'], 'QM_USAGE'],
      [['sign', 'nothing-like-it'], 'QM_KEYS_INVALID'],
    ] as const) {
      const run = await models(...args)
      expect(run.stderr).toContain(`error ${code}: `)
      expect(run.code).toBe(code === 'QM_USAGE' ? 2 : 1)
    }
  })

  it("signs with the node's key, and trusts others", async () => {
    const { home, dataDir, models, json } = await machine()
    mkdirSync(dataDir, { recursive: true })
    const { id } = await loadIdentity(join(dataDir, 'identity'))
    const { path } = tinyFile(home)
    await models('add', path, '--id', 'mine', '--no-trial')
    const out = join(home, 'mine.json')
    expect((await models('sign', 'mine', '--out', out, '--licence', 'MIT')).code).toBe(0)
    const manifest = parseManifest(JSON.parse(readFileSync(out, 'utf8')), out)
    expect(isManifestSigned(manifest)).toBe(true)
    expect(manifest).toMatchObject({ publisher: id, licence: 'MIT', version: 1 })
    expect(await models('sign', 'mine', '--out', out)).toMatchObject({ code: 2 })
    expect((await models('info', 'mine')).stdout).toContain(`${id} (trusted)`)

    expect(await json('trust')).toEqual([
      { publisher: id, catalog: { publisher: id, version: 1, models: 1 } },
    ])
    expect(await json('list')).toMatchObject([{ id: 'mine', catalog: { publisher: id, version: 1 } }])
    expect((await models('list')).stdout).toContain(`catalog of ${id.slice(0, 8)}, version 1`)
    const other = await machine()
    expect(await other.json('trust', id)).toEqual([{ publisher: id, catalog: null }])
    expect((await other.models('trust')).stdout).toBe(`${id}  no catalog yet\n`)
    expect(await other.json('trust', id, '--off')).toEqual([])
    // A manifest says what the file is; the file has to be that one.
    const wrong = tinyFile(other.home, { seed: 2 })
    const refused = await other.models('add', wrong.path, '--manifest', out, '--no-trial')
    expect(refused.stderr).toContain('QM_MODEL_INVALID')
  })

  it('takes the folder and the limit of the configuration', async () => {
    const { home, models, json } = await machine()
    const { path } = tinyFile(home)
    const dir = join(home, 'elsewhere')
    await models('add', path, '--id', 'mine', '--models-dir', dir, '--copy', '--no-trial')
    expect(await json('cache', '--models-dir', dir, '--models-cache-gb', '7')).toMatchObject({
      dir,
      models: 1,
      limitBytes: 7_000_000_000,
    })
    expect(await json('list')).toEqual([])
  })
})
