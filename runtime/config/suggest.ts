/** Letters that must be changed, added, dropped or swapped with a neighbour to turn one word into the other. */
function distance(from: string, to: string): number {
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++) {
      const replaced = (row[j] ?? 0) + (from[i] === to[j] ? 0 : 1)
      const isSwap = i > 0 && j > 0 && from[i] === to[j - 1] && from[i - 1] === to[j]
      const swapped = isSwap ? (before[j - 1] ?? 0) + 1 : Infinity
      next.push(Math.min(replaced, swapped, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[to.length] ?? 0
}

const plain = (word: string): string => word.toLowerCase().replaceAll(/[^a-z0-9]/g, '')

/**
 * The known word a mistyped one most likely meant. Case and separators do not count, so `data_dir` means `dataDir`.
 * Nothing is suggested when more than a third of the letters differ: a wild guess is worse than none.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  // The word may come from a file somebody else wrote: comparing is quadratic in its length.
  const wanted = plain(word.slice(0, 64))
  const ranked = known
    .map((candidate) => ({ candidate, steps: distance(wanted, plain(candidate)) }))
    .toSorted((a, b) => a.steps - b.steps)
  const best = ranked[0]
  return best && best.steps <= Math.max(1, Math.floor(wanted.length / 3)) ? best.candidate : undefined
}
