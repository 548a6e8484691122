import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { nearNames, searchModels } from '../../../machines/models/search.ts'
import { parseManifest } from '../../../protocol/models/index.ts'

const folder = new URL('../../../models/catalog/', import.meta.url)
const models = readdirSync(folder).map((name) => ({
  manifest: parseManifest(JSON.parse(readFileSync(new URL(name, folder), 'utf8')), name),
}))
const ids = models.map(({ manifest }) => manifest.id)
const search = (query: string): string[] => searchModels(models, query).map(({ manifest }) => manifest.id)

it.each([
  ['lama-3.2-1b', 'llama-3.2-1b-instruct'],
  ['llama3.2-3b', 'llama-3.2-3b-instruct'],
  ['qwn2.5', 'qwen2.5-0.5b-instruct'],
  ['Qwen2.5 1.5B', 'qwen2.5-1.5b-instruct'],
  ['smolm2-360m', 'smollm2-360m-instruct'],
  ['gema', 'gemma-2-2b-it'],
  ['minilm', 'all-minilm-l6-v2'],
  ['phi3', 'phi-3-mini-4k-instruct'],
])('%s was meant to be %s', (typed, meant) => {
  expect(nearNames(typed, ids, 2)).toContain(meant)
})

it('a name that is like none has no near one', () => {
  expect(nearNames('zzzz-completely-else', ids, 3)).toEqual([])
  expect(nearNames('', ids, 3)).toEqual([])
  expect(nearNames('x'.repeat(100_000), ids, 3)).toEqual([])
})

it('every word has to be found, and where it is decides the order', () => {
  expect(search('llama').slice(0, 2)).toEqual(['llama-3.2-1b-instruct', 'llama-3.2-3b-instruct'])
  expect(search('qwen 1.5b')).toEqual(['qwen2.5-1.5b-instruct'])
  expect(search('embedding').toSorted()).toEqual([
    'all-minilm-l6-v2',
    'bge-small-en-v1.5',
    'e5-small-v2',
    'gte-small',
  ])
  expect(search('')).toHaveLength(models.length)
})

it('words that fit nothing find what is near', () => {
  expect(search('smolm2')[0]).toMatch(/^smollm2/)
  expect(search('zzzz-completely-else')).toEqual([])
})
