import type { ModelManifest } from '../../protocol/models/index.ts'

/** Characters of a query that count: comparing takes time in proportion. */
const queryCharsMax = 128

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()

/** Groups of three letters, with the word's ends marked: two words that sound alike share most of theirs. */
function toTrigrams(text: string): Set<string> {
  const padded = `  ${plain(text).replaceAll(' ', '')} `
  return new Set(Array.from({ length: Math.max(0, padded.length - 2) }, (_, at) => padded.slice(at, at + 3)))
}

/** How alike two names are, 0 to 1: the share of trigrams that both have (Dice). */
export function likeness(a: string, b: string): number {
  const [left, right] = [toTrigrams(a), toTrigrams(b)]
  const shared = [...left].filter((trigram) => right.has(trigram)).length
  return left.size + right.size === 0 ? 0 : (2 * shared) / (left.size + right.size)
}

/** The same, but what the longer one has beyond counts for nothing: people leave out the end of long names. */
function partLikeness(wanted: string, candidate: string): number {
  const [left, right] = [toTrigrams(wanted), toTrigrams(candidate)]
  const shared = [...left].filter((trigram) => right.has(trigram)).length
  return left.size === 0 ? 0 : shared / left.size
}

/** Below it two names have nothing to do with each other. */
const likenessMin = 0.3

/**
 * Names that somebody may have meant, the likeliest first.
 *
 * @param countMax at most so many
 */
export function nearNames(name: string, known: readonly string[], countMax: number): readonly string[] {
  const wanted = name.slice(0, queryCharsMax)
  return [...new Set(known)]
    .map((candidate) => ({
      candidate,
      score: Math.max(likeness(wanted, candidate), 0.8 * partLikeness(wanted, candidate)),
    }))
    .filter(({ score }) => score >= likenessMin)
    .toSorted((a, b) => b.score - a.score || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, countMax)
    .map(({ candidate }) => candidate)
}

/** What a word of the query counts for where it is found. */
const weights = { id: 8, name: 6, tags: 4, facts: 3, description: 1 } as const

/**
 * Models for words: each word must be found somewhere, and where it is decides the order. Without any words, all of
 * them. When nothing has all words, the nearest names.
 */
export function searchModels<Model extends { readonly manifest: ModelManifest }>(
  models: readonly Model[],
  query: string,
): readonly Model[] {
  const words = plain(query.slice(0, queryCharsMax)).split(' ').filter(Boolean)
  const scored = models.map((model) => ({ model, score: scoreOf(model.manifest, words) }))
  const found = scored.filter(({ score }) => score > 0 || words.length === 0)
  if (found.length > 0)
    return found.toSorted((a, b) => b.score - a.score || byId(a.model, b.model)).map(({ model }) => model)
  const near = nearNames(
    query,
    models.map(({ manifest }) => manifest.id),
    5,
  )
  return near.flatMap((id) => models.filter(({ manifest }) => manifest.id === id))
}

const byId = (a: { readonly manifest: ModelManifest }, b: { readonly manifest: ModelManifest }): number =>
  a.manifest.id < b.manifest.id ? -1 : a.manifest.id > b.manifest.id ? 1 : 0

function scoreOf(manifest: ModelManifest, words: readonly string[]): number {
  const { id, name, tags, facts, kind, description, licence } = manifest
  const texts: Readonly<Record<keyof typeof weights, string>> = {
    id: plain(id),
    name: plain(name),
    tags: plain([...tags, kind].join(' ')),
    facts: plain([facts.architecture, facts.quantization, licence].join(' ')),
    description: plain(description),
  }
  let score = 0
  for (const word of words) {
    const best = Math.max(
      ...Object.entries(texts).map(([field, text]) =>
        text.includes(word) ? weights[field as keyof typeof weights] : 0,
      ),
    )
    if (best === 0) return 0
    score += best
  }
  return score
}
