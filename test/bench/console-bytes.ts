import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import type { BenchRow } from './bench-row.ts'

const folder = new URL('../../dist/console/', import.meta.url)

/** Files that a file brings along before anything of it is shown; what it imports later is not among them. */
function needed(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found
  found.add(file)
  const text = readFileSync(new URL(file, folder), 'utf8')
  const pattern = file.endsWith('.html')
    ? /(?:src|href)="\/console\/([\w.-]+)"/g
    : /(?:from|import)"\.\/([\w.-]+)"/g
  for (const [, next = ''] of text.matchAll(pattern))
    if (existsSync(new URL(next, folder))) needed(next, found)
  return found
}

const kilobytes = (files: Iterable<string>, size: (file: string) => number): number =>
  [...files].reduce((sum, file) => sum + size(file), 0) / 1_000

/** What a browser loads of the console, as it was built; nothing where it was not. */
export function consoleRows(): BenchRow[] {
  if (!existsSync(folder)) return []
  const bytes = (file: string): number => statSync(new URL(file, folder)).size
  const zipped = (file: string): number => gzipSync(readFileSync(new URL(file, folder))).length
  const first = needed('index.html')
  // The layouter of large statecharts comes when one is opened.
  const views = readdirSync(folder).filter((file) => !file.startsWith('elk'))
  const row = (what: string, files: Iterable<string>): BenchRow => ({
    what,
    ours: kilobytes(files, bytes),
    unit: 'kB',
    target: '≤ 300 kB',
    note: `${Math.round(kilobytes(files, zipped))} kB if they were compressed`,
  })
  return [
    row('console: what its first page loads', first),
    row('console: all views, without the layouter', views),
  ]
}
