import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Hypercore from 'hypercore'
import type { NoiseStream } from 'hyperswarm'
import sodium from 'sodium-universal'
import { onTestFinished } from 'vitest'
import type { LogCounter, LogMark } from '../../../../actors/trust/log/log-counter.ts'
import { LogStore, type LogStoreOptions } from '../../../../actors/trust/log/log-store.ts'

export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qmesh-log-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A store in a folder of its own, closed when the test ends. */
export async function makeStore(options: LogStoreOptions & { folder?: string } = {}): Promise<LogStore> {
  const store = await LogStore.open(options.folder ?? join(await makeFolder(), 'logs'), options)
  onTestFinished(() => store.close())
  return store
}

export function makeKeyPair(seed: Buffer = randomBytes(32)): Hypercore.KeyPair {
  const publicKey = Buffer.alloc(32)
  const secretKey = Buffer.alloc(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed)
  return { publicKey, secretKey }
}

/** A counter that lives as long as the test. */
export class MemoryCounter implements LogCounter {
  mark: LogMark | undefined
  writes = 0

  async read(): Promise<LogMark | undefined> {
    return this.mark
  }

  async write(mark: LogMark): Promise<void> {
    this.writes++
    this.mark = mark
  }
}

/** Two ends of one encrypted connection; both are gone when the test ends. */
export function makeConnection(): readonly [NoiseStream, NoiseStream] {
  const a = Hypercore.createProtocolStream(true)
  const b = Hypercore.createProtocolStream(false)
  a.pipe(b).pipe(a)
  for (const stream of [a, b]) {
    stream.on('error', () => undefined)
    stream.noiseStream.on('error', () => undefined)
  }
  const ends = [a.noiseStream, b.noiseStream] as const
  const gone = ends.map((end) => new Promise((resolve) => end.once('close', resolve)))
  onTestFinished(async () => {
    for (const end of ends) end.destroy()
    await Promise.all(gone)
  })
  return ends
}

/** Connects two stores. */
export function connect(a: LogStore, b: LogStore): readonly [NoiseStream, NoiseStream] {
  const ends = makeConnection()
  a.replicate(ends[0])
  b.replicate(ends[1])
  return ends
}

export const entriesOf = (from: number, to: number, text = 'entry'): Buffer[] =>
  Array.from({ length: to - from }, (_, index) => Buffer.from(`${text} ${from + index}`))

export async function readAll(log: {
  read(from: number, to: number): AsyncIterable<Uint8Array[]>
}): Promise<string[]> {
  const all: string[] = []
  for await (const slice of log.read(0, 1_000_000)) {
    for (const entry of slice) all.push(Buffer.from(entry).toString())
  }
  return all
}
