const pairs = (name: string): Set<string> => {
  const plain = ` ${name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')} `
  return new Set(Array.from({ length: plain.length - 1 }, (_, index) => plain.slice(index, index + 2)))
}

/** 0 to 1: the share of letter pairs that two names have in common. */
function likeness(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const common = [...a].filter((pair) => b.has(pair)).length
  return (2 * common) / (a.size + b.size)
}

/** The known names that a wrong one may have meant, the likeliest first; at most three, and none by a wild guess. */
export function nearNames(name: string, known: readonly string[]): string[] {
  const wanted = pairs(name.slice(0, 128))
  return known
    .map((candidate) => ({ candidate, score: likeness(wanted, pairs(candidate)) }))
    .filter(({ score }) => score >= 0.3)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}
