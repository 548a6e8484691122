import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open, statfs } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomFillSync } from 'node:crypto'
import Corestore from 'corestore'
import type Hypercore from 'hypercore'
import { buildTree, treeOfLeaves } from '../../actors/models/seeding/build-tree.ts'
import { repairModel } from '../../actors/models/fetch/repair.ts'
import { toCoreKey } from '../../actors/models/seeding/static-core.ts'
import { ModelStore } from '../../actors/models/store/model-store.ts'
import { blockBytes } from '../../protocol/models/index.ts'
import { createConnection, ExchangeRig } from '../support/core-rig.ts'
import { createManifest, createModelFile } from '../support/models-rig.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './median.ts'
import { lookUpCached, lookUpCold } from './models-lookup.ts'
import { resumeAfterKill } from './models-resume.ts'

const mebi = 1024 * 1024
/** `QMESH_BENCH_MB` makes the files smaller, to see whether all of it runs; the figures are then worth nothing. */
const smallMb = Number(process.env['QMESH_BENCH_MB'] ?? 0)
const fileBytes = (smallMb > 0 ? Math.min(64, smallMb) : 64) * mebi
const lineFileBytes = Math.min(16 * mebi, fileBytes)
const largeBytes = smallMb > 0 ? 4 * fileBytes : 2 * 1024 * mebi
const runs = smallMb > 0 ? 1 : 3
const toMebi = (bytes: number): string => `${bytes / mebi} MiB`

interface Measured {
  readonly mbPerSecond: number
  readonly cpuSecondsPerGb: number
}

/** All ends are in this process, so the processor's time is that of both sides. */
async function measure(bytes: number, step: () => Promise<void>): Promise<Measured> {
  const [cpu, startMs] = [process.cpuUsage(), performance.now()]
  await step()
  const seconds = (performance.now() - startMs) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  return { mbPerSecond: bytes / 1e6 / seconds, cpuSecondsPerGb: (user + system) / 1e6 / (bytes / 1e9) }
}

async function repeat(step: () => Promise<Measured>): Promise<Measured> {
  const all: Measured[] = []
  for (let run = 0; run < runs; run++) all.push(await step())
  return {
    mbPerSecond: median(all.map(({ mbPerSecond }) => mbPerSecond)),
    cpuSecondsPerGb: median(all.map(({ cpuSecondsPerGb }) => cpuSecondsPerGb)),
  }
}

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).reduce((sum, entry) => {
    if (!entry.isFile()) return sum
    return sum + 512 * statSync(join(entry.parentPath, entry.name)).blocks
  }, 0)

/** Hypercore as it is: every block in RocksDB on both sides. */
async function rawHypercore(
  folder: string,
  data: Buffer,
): Promise<Measured & { readonly diskShare: number }> {
  const [from, to] = [new Corestore(join(folder, 'a')), new Corestore(join(folder, 'b'))]
  const source = from.get({ name: 'file' })
  await source.ready()
  for (let at = 0; at < data.length; at += 64 * blockBytes) {
    const blocks: Buffer[] = []
    for (let start = at; start < Math.min(data.length, at + 64 * blockBytes); start += blockBytes) {
      blocks.push(data.subarray(start, start + blockBytes))
    }
    await source.append(blocks)
  }
  const copy = to.get({ key: source.key } as unknown as Corestore.GetOptions)
  await copy.ready()
  const ends = createConnection()
  const mux = (stream: typeof ends.left) =>
    (stream as unknown as { userData: Parameters<Hypercore['replicate']>[0] }).userData
  source.replicate(mux(ends.left))
  copy.replicate(mux(ends.right))
  const measured = await measure(data.length, async () => {
    await copy.download({ start: 0, end: Math.ceil(data.length / blockBytes), linear: false }).done()
  })
  ends.close()
  await from.close()
  await to.close()
  return { ...measured, diskShare: sizeOf(join(folder, 'b')) / data.length }
}

/** The same bytes over a socket of this machine, from file to file, with nothing proven. */
async function plainCopy(folder: string, path: string, bytes: number): Promise<Measured> {
  const server = createServer((socket) => {
    void open(path).then((file) => file.createReadStream().pipe(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const measured = await measure(bytes, async () => {
    const file = await open(join(folder, 'copy'), 'w')
    const socket = connect(port, '127.0.0.1')
    socket.pipe(file.createWriteStream())
    await once(socket, 'end')
  })
  server.close()
  return measured
}

interface Fetched extends Measured {
  readonly firstByteMs: number
  readonly diskShare: number
}

/** One file from so many seeders in this process into a store. */
async function fetchFrom(
  seeders: number,
  folder: string,
  path: string,
  manifest: ReturnType<typeof createManifest>,
  uploadBytesPerSecond = 0,
): Promise<Fetched> {
  const rig = new ExchangeRig()
  const bytes = manifest.artifact.bytes ?? 0
  const key = manifest.artifact.core ?? ''
  const tree = await buildTree(path)
  const reader = rig.create({ patience: { findMs: 30_000, nearMs: 20, stallMs: 30_000 } })
  for (let seeder = 0; seeder < seeders; seeder++) {
    const exchange = rig.create({ uploadBytesPerSecond })
    exchange.offer({ key, path, tree: () => Promise.resolve(tree) })
    rig.connect(exchange, reader)
  }
  rmSync(folder, { recursive: true, force: true })
  const store = await ModelStore.open({ dir: folder })
  const partial = await store.partial(manifest.artifact.sha256 ?? '', bytes)
  const startMs = performance.now()
  let firstByteMs: number | undefined
  const measured = await measure(bytes, () =>
    reader.fetch(key, partial, {
      onBytes: () => {
        firstByteMs ??= performance.now() - startMs
      },
    }),
  )
  const diskShare = sizeOf(folder) / bytes
  await partial.discard()
  await store.close()
  await rig.close()
  return { ...measured, firstByteMs: firstByteMs ?? Infinity, diskShare }
}

async function repairOneByte(folder: string, file: Buffer): Promise<{ fetched: number; ms: number }> {
  const rig = new ExchangeRig()
  const store = await ModelStore.open({ dir: join(folder, 'repair') })
  const path = join(folder, 'repair.gguf')
  writeFileSync(path, file)
  const stored = await store.adopt(path, createManifest(file, [{ kind: 'peers' }]), 'copy')
  const tree = treeOfLeaves(stored.bytes, await store.blockHashes(stored.hash))
  const [seeder, reader] = [rig.create(), rig.create()]
  seeder.offer({ key: toCoreKey(tree) ?? '', path, tree: () => Promise.resolve(tree) })
  rig.connect(seeder, reader)
  const blob = await open(stored.path, 'r+')
  await blob.write(Buffer.from([1 + (file[file.length >> 1] ?? 0)]), 0, 1, file.length >> 1)
  await blob.close()
  const startMs = performance.now()
  const { fetchedBytes } = await repairModel(stored.hash, { store, exchange: reader })
  const ms = performance.now() - startMs
  await store.close()
  await rig.close()
  return { fetched: fetchedBytes, ms }
}

/**
 * A sparse file of two gigabytes, from one store to another: `large` is gone when its rows are written.
 *
 * @returns the most memory that was added, of both ends together; undefined when the disk has no room for the copy
 */
async function moveLarge(
  folder: string,
): Promise<{ readonly addedBytes: number; readonly mbPerSecond: number } | undefined> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < 1.5 * largeBytes) {
    process.stderr.write(`no room for ${toMebi(largeBytes)} in ${folder}: that row is left out\n`)
    return undefined
  }
  const path = join(folder, 'large')
  writeFileSync(path, '')
  truncateSync(path, largeBytes)
  const tree = await buildTree(path)
  const manifest = createManifest(Buffer.alloc(0), [{ kind: 'peers' }], {
    bytes: largeBytes,
    core: toCoreKey(tree) ?? '',
  })
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let most = before
  const look = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 50)
  try {
    const { mbPerSecond } = await fetchFrom(1, join(folder, 'large-store'), path, manifest)
    return { addedBytes: most - before, mbPerSecond }
  } finally {
    clearInterval(look)
    rmSync(join(folder, 'large-store'), { recursive: true, force: true })
    rmSync(path)
  }
}

export async function run(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'qmesh-bench-models-'))
  try {
    const file = createModelFile(fileBytes)
    const path = join(folder, 'model.gguf')
    writeFileSync(path, file)
    const imported = await repeat(() => measure(file.length, async () => void (await buildTree(path))))
    const tree = await buildTree(path)
    const manifest = createManifest(file, [{ kind: 'peers' }], { core: toCoreKey(tree) ?? '' })
    const raw: (Measured & { readonly diskShare: number })[] = []
    const rawRate = await repeat(async () => {
      const runFolder = join(folder, `raw-${raw.length}`)
      mkdirSync(runFolder)
      const measured = await rawHypercore(runFolder, randomFillSync(Buffer.alloc(fileBytes)))
      raw.push(measured)
      rmSync(runFolder, { recursive: true, force: true })
      return measured
    })
    const copied = await repeat(() => plainCopy(folder, path, file.length))
    const rows: BenchRow[] = [
      {
        what: `a file of ${toMebi(fileBytes)} made ready to be seeded: its hashes`,
        ours: imported.mbPerSecond,
        unit: 'MB/s',
        note: `${imported.cpuSecondsPerGb.toFixed(1)} CPU s/GB; the file stays where it is`,
      },
    ]
    const target: Record<number, string> = { 1: '≥ 0.9' }
    for (const seeders of [1, 2, 4]) {
      const all: Fetched[] = []
      const rate = await repeat(async () => {
        const fetched = await fetchFrom(seeders, join(folder, 'store'), path, manifest)
        all.push(fetched)
        return fetched
      })
      rows.push({
        what: `a file of ${toMebi(fileBytes)} from ${seeders} seeder${seeders > 1 ? 's' : ''}, all in one process`,
        ours: rate.mbPerSecond,
        unit: 'MB/s',
        peer: { name: 'raw Hypercore, one seeder', value: rawRate.mbPerSecond },
        ratio: rate.mbPerSecond / rawRate.mbPerSecond,
        ...(target[seeders] && { target: target[seeders] }),
        note: `${rate.cpuSecondsPerGb.toFixed(1)} CPU s/GB against ${rawRate.cpuSecondsPerGb.toFixed(1)}; first byte after ${median(all.map(({ firstByteMs }) => firstByteMs)).toFixed(0)} ms`,
      })
    }
    // Lines so slow that they are the limit, and not the processor.
    const lineBytes = 4e6
    const small = createModelFile(lineFileBytes, 2)
    const smallPath = join(folder, 'small.gguf')
    writeFileSync(smallPath, small)
    const core = toCoreKey(await buildTree(smallPath)) ?? ''
    const smallManifest = createManifest(small, [{ kind: 'peers' }], { core })
    const overLines = (seeders: number): Promise<Fetched> =>
      fetchFrom(seeders, join(folder, 'store'), smallPath, smallManifest, lineBytes)
    const alone = await overLines(1)
    for (const [seeders, wanted] of [
      [2, '≥ 1.5'],
      [4, '≥ 2'],
    ] as const) {
      const { mbPerSecond } = await overLines(seeders)
      rows.push({
        what: `a file of ${toMebi(lineFileBytes)} from ${seeders} seeders whose lines give 4 MB/s each`,
        ours: mbPerSecond,
        unit: 'MB/s',
        peer: { name: 'one such seeder', value: alone.mbPerSecond },
        ratio: mbPerSecond / alone.mbPerSecond,
        target: wanted,
      })
    }
    const { diskShare } = await fetchFrom(1, join(folder, 'store'), path, manifest)
    const rawShare = median(raw.map((measured) => measured.diskShare))
    rows.push(
      {
        what: 'the same bytes over plain TCP, file to file, nothing proven',
        ours: copied.mbPerSecond,
        unit: 'MB/s',
        note: `${copied.cpuSecondsPerGb.toFixed(1)} CPU s/GB`,
      },
      {
        what: 'disk that a fetched model takes, of its size',
        ours: diskShare,
        unit: '×',
        peer: { name: 'raw Hypercore, and the file beside it', value: 1 + rawShare },
        ratio: diskShare / (1 + rawShare),
      },
    )
    const repaired = await repairOneByte(folder, file)
    rows.push({
      what: 'one flipped byte put right',
      ours: repaired.fetched / blockBytes,
      unit: 'blocks fetched',
      target: '1',
      note: `${repaired.ms.toFixed(0)} ms, most of it to find the block`,
    })
    const { refetchedShare, resumeMs } = await resumeAfterKill(folder, fileBytes)
    rows.push({
      what: 'fetched again after kill -9 half-way, of what was there',
      ours: 100 * refetchedShare,
      unit: '%',
      target: '≤ 1',
      note: `it went on ${resumeMs.toFixed(0)} ms after it was told to`,
    })
    rows.push({
      what: 'a manifest found by its SHA-256 by somebody new to the mesh, on loopback',
      ours: await lookUpCold(smallMb > 0 ? 2 : 9),
      unit: 'ms',
      target: '≤ 500',
      note: 'the way from an empty address book: DHT, connection, question, answer',
    })
    const { openMs, resolveMs, searchMs } = await lookUpCached(folder, smallMb > 0 ? 256 : undefined)
    rows.push({
      what: 'one name looked up in a full catalogue',
      ours: resolveMs,
      unit: 'ms',
      target: '≤ 5',
      note: `a search through all of it ${searchMs.toFixed(1)} ms; reading and checking it at the start ${openMs.toFixed(0)} ms`,
    })
    const large = await moveLarge(folder)
    if (large) {
      rows.push({
        what: `memory added while a sparse file of ${toMebi(largeBytes)} moves, both ends together`,
        ours: large.addedBytes / mebi,
        unit: 'MiB',
        target: '≤ 256',
        note: `at ${large.mbPerSecond.toFixed(0)} MB/s`,
      })
    }
    return rows
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
