import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { format, resolveConfig } from 'prettier'
import type { BenchRow } from './bench-row.ts'

/**
 * `npm run bench [name …]`: runs `*.bench.ts` one after the other and, when all of them ran, writes
 * `docs/BENCHMARKS.md`. With names and `--write` only their sections are replaced. Each line stands against something that ran beside it on the same machine.
 */
const wanted = process.argv.slice(2).filter((name) => name !== '--write')
const isPart = wanted.length > 0
const folder = new URL('./', import.meta.url)
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.replace('.bench.ts', ''))
  .toSorted()

const number = (value: number): string => {
  if (!Number.isFinite(value)) return '–'
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))
}

const toLine = ({ what, ours, unit, peer, ratio, target, note }: BenchRow): string =>
  `| ${what} | ${number(ours)} ${unit} | ${peer ? `${peer.name}: ${number(peer.value)} ${unit}` : '–'} | ${
    ratio === undefined ? '–' : ratio.toFixed(2)
  } | ${target ?? '–'} | ${note ?? ''} |`

const sections = new Map<string, string>()
for (const name of names.filter((name) => wanted.length === 0 || wanted.includes(name))) {
  process.stderr.write(`${name} …\n`)
  const { run } = (await import(new URL(`${name}.bench.ts`, folder).href)) as {
    run: () => Promise<BenchRow[]>
  }
  const lines = (await run()).map(toLine)
  process.stdout.write(`${lines.join('\n')}\n`)
  sections.set(
    name,
    [
      `## ${name}`,
      '',
      '| what | QMesh | beside it | ratio | target | note |',
      '| - | - | - | - | - | - |',
      ...lines,
    ].join('\n'),
  )
}

if (!isPart || process.argv.includes('--write')) {
  const page = new URL('../../docs/BENCHMARKS.md', import.meta.url)
  const head = [
    '# Benchmarks',
    '',
    `Written by \`npm run bench\`. Medians of several runs on ${availableParallelism()} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}. Take the ratios seriously, not the absolutes.`,
  ].join('\n')
  // A part leaves what it did not measure as it was, and says nothing new about the machine.
  const [oldHead = head, ...old] = isPart ? readFileSync(page, 'utf8').split(/^(?=## )/m) : []
  const kept = new Map(old.map((section) => [/^## (.*)/.exec(section)?.[1] ?? '', section.trim()]))
  const all = [...new Map([...kept, ...sections])].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const text = [oldHead.trim(), ...all.map(([, section]) => section)].join('\n\n')
  const options = await resolveConfig(page.pathname)
  writeFileSync(page, await format(text, { ...options, parser: 'markdown' }))
}
