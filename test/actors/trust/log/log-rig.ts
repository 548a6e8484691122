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

interface TreeRoot {
  readonly index: number
  readonly size: number
  readonly hash: Buffer
}

/** What an owner can do with its own copy of Hypercore. */
interface OpenCore {
  readonly core: { readonly verifier: { sign(batch: object, keyPair: Hypercore.KeyPair): Buffer } }
  readonly state: {
    roots: TreeRoot[]
    length: number
    byteLength: number
    signature: Buffer
    createTreeBatch(): object
    createWriteBatch(): { putTreeNode(root: TreeRoot): void }
    flush(): Promise<unknown>
  }
}

/**
 * The owner of a log signs for more entries than there are: a tree is its owner's word, and costs nothing.
 *
 * @param length a power of two
 */
export async function claimLength(
  store: LogStore,
  keyPair: Hypercore.KeyPair,
  length: number,
  byteLength: number,
): Promise<void> {
  await store.use(keyPair.publicKey.toString('hex'), async (opened) => {
    const { core, state } = opened as unknown as OpenCore
    const root = { index: length - 1, size: byteLength, hash: randomBytes(32) }
    const claim = { roots: [root], length, byteLength }
    const signature = core.verifier.sign(Object.assign(state.createTreeBatch(), claim), keyPair)
    state.createWriteBatch().putTreeNode(root)
    await state.flush()
    Object.assign(state, claim, { signature })
  })
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
