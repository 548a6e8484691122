import { randomInt } from 'node:crypto'
import { type ModelManifest, isLocalSource, toManifestHash } from '../../../protocol/models/index.ts'
import type { Link } from './link.ts'

interface Search {
  readonly name: string
  /** One of each peer: nobody makes a claim look common by repeating it. */
  readonly found: Map<Link, ModelManifest>
  /** Whether every answer is waited for, and not only the first. */
  readonly isThorough: boolean
  readonly asked: Set<Link>
  hasAsked: boolean
  /** Peers had the time to come that are on their way. */
  isSettled: boolean
  done: () => void
}

export interface ManifestSearchOptions {
  /** Whether something is known under a name, on this machine or from what was heard. */
  readonly isKnown: (name: string) => boolean
  /** Milliseconds in which an answer of "nothing" does not end a search: others may be about to connect. */
  readonly settleMs: number
}

const hashPattern = /^[0-9a-f]{64}$/

/** Asks all peers that are there, and those that come, what they know under a name. */
export class ManifestSearch {
  readonly #options: ManifestSearchOptions
  readonly #links = new Set<Link>()
  readonly #searches = new Set<Search>()

  constructor(options: ManifestSearchOptions) {
    this.#options = options
  }

  opened(link: Link): void {
    this.#links.add(link)
    for (const search of this.#searches) this.#ask(link, search)
  }

  closed(link: Link): void {
    this.#links.delete(link)
    for (const search of this.#searches) this.#answered(link, search)
  }

  /** See `CatalogSharing.find`. */
  async find(name: string, signal: AbortSignal, isThorough: boolean): Promise<readonly ModelManifest[]> {
    const search: Search = {
      name,
      found: new Map(),
      isThorough,
      asked: new Set(),
      hasAsked: false,
      isSettled: false,
      done: () => undefined,
    }
    const done = new Promise<void>((resolve) => (search.done = resolve))
    const onAbort = (): void => search.done()
    signal.addEventListener('abort', onAbort, { once: true })
    this.#searches.add(search)
    const settle = setTimeout(() => {
      search.isSettled = true
      if (search.asked.size === 0 && search.hasAsked) search.done()
    }, this.#options.settleMs)
    try {
      for (const link of this.#links) this.#ask(link, search)
      if (!signal.aborted) await done
      return byVotes([...search.found.values()])
    } finally {
      clearTimeout(settle)
      this.#searches.delete(search)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** A peer said this of some name; its signature was checked. */
  heard(link: Link, manifest: ModelManifest): void {
    for (const search of this.#searches)
      if (isMatch(manifest, search.name) && !search.found.has(link)) search.found.set(link, manifest)
  }

  /** A peer has said all that it knows under these names. */
  answered(link: Link, names: readonly string[]): void {
    for (const search of this.#searches) if (names.includes(search.name)) this.#answered(link, search)
  }

  /** The catalog has more than before. */
  news(): void {
    for (const search of this.#searches)
      if (!search.isThorough && this.#options.isKnown(search.name)) search.done()
  }

  close(): void {
    for (const search of this.#searches) search.done()
  }

  #ask(link: Link, search: Search): void {
    search.hasAsked = true
    search.asked.add(link)
    link.channel.send({ type: 'manifest-want', names: [search.name] })
  }

  #answered(link: Link, search: Search): void {
    search.asked.delete(link)
    const isFound = search.found.size > 0 || this.#options.isKnown(search.name)
    if (
      (isFound && (!search.isThorough || search.asked.size === 0)) ||
      (search.isSettled && search.asked.size === 0)
    )
      search.done()
  }
}

/**
 * All different ones, those first whose file most peers describe alike: honest ones agree on its size and its blocks, which
 * follow from the content, whatever they call it. Of as many votes any comes first, so that nobody is always kept behind.
 */
function byVotes(manifests: readonly ModelManifest[]): readonly ModelManifest[] {
  const votes = new Map<string, number>()
  const different = new Map<string, { readonly manifest: ModelManifest; readonly draw: number }>()
  for (const manifest of manifests) {
    const file = toFileKey(manifest)
    votes.set(file, (votes.get(file) ?? 0) + 1)
    different.set(toManifestHash(manifest), { manifest, draw: randomInt(2 ** 32) })
  }
  const votesFor = (manifest: ModelManifest): number => votes.get(toFileKey(manifest)) ?? 0
  return [...different.values()]
    .toSorted((a, b) => votesFor(b.manifest) - votesFor(a.manifest) || a.draw - b.draw)
    .map(({ manifest }) => manifest)
}

const toFileKey = ({ artifact: { bytes, core } }: ModelManifest): string => `${bytes} ${core}`

/**
 * Under a hash nobody's word is needed, unless it would have us read files or ask servers of this machine; under an id
 * only what the catalog believes counts, and is looked up there.
 */
const isMatch = ({ artifact, sources }: ModelManifest, name: string): boolean =>
  hashPattern.test(name) && artifact.sha256 === name && !sources.some(isLocalSource)
