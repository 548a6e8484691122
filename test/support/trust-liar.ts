import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { raw } from 'compact-encoding'
import DHT from 'hyperdht'
import Hyperswarm, { type NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'
import { InferenceChannel } from '../../actors/peer/inference-channel.ts'
import type { NodeAddress } from '../../actors/swarm/index.ts'
import type { AccountLog } from '../../actors/trust/log/account-log.ts'
import { toEpoch } from '../../actors/trust/epoch.ts'
import { scoresProtocol, toScoresCapability } from '../../actors/trust/gossip/scores-channel.ts'
import { LogStore } from '../../actors/trust/log/log-store.ts'
import type { TrustParams } from '../../machines/trust/index.ts'
import { encodeFrame, FrameDecoder, inferenceNetwork, toTopic } from '../../protocol/index.ts'
import { parseScoresMessage, type ScoresMessage, toScoresObject } from '../../protocol/messages/scores.ts'
import {
  encodeEntry,
  type Head,
  headFormat,
  type IdentityCard,
  type LogEntry,
} from '../../protocol/trust/index.ts'
import { createAccount, makeCard, type TestAccount, toTestNetworkId } from './trust-receipts.ts'

export interface LiarOptions {
  readonly bootstrap: readonly NodeAddress[]
  readonly secret: string
  readonly params: TrustParams
  /** A folder that the test removes. */
  readonly folder: string
}

type Entry = Exclude<LogEntry, { type: 'unknown' }>

interface Line {
  readonly stream: NoiseStream
  readonly send: (bytes: Uint8Array) => void
}

/**
 * A peer of the real parts, log and channels, that says on the scores network whatever a test wants. It tells nobody
 * anything by itself; its log can be had by whoever asks.
 */
export class Liar {
  readonly account: TestAccount
  readonly card: IdentityCard
  /** How often each node closed a connection after the greeting. */
  readonly closed = new Map<string, number>()
  /** Connections that were greeted, in all. */
  greeted = 0
  /** What nodes said on the scores network, the latest last. */
  readonly heard: { readonly from: string; readonly message: ScoresMessage }[] = []
  readonly #options: LiarOptions
  readonly #dht: DHT
  readonly #swarm: Hyperswarm
  readonly #lines = new Map<string, Line>()
  readonly #waiting = new Set<() => void>()
  #store: LogStore
  #log: AccountLog

  private constructor(
    account: TestAccount,
    options: LiarOptions,
    dht: DHT,
    books: { readonly store: LogStore; readonly log: AccountLog },
  ) {
    this.#options = options
    this.account = account
    this.card = makeCard(account, this.epoch)
    this.#dht = dht
    this.#store = books.store
    this.#log = books.log
    this.#swarm = new Hyperswarm({ dht, keyPair: account.identity.noiseKeyPair() })
    this.#swarm.on('connection', (stream) => this.#connected(stream))
  }

  static async create(options: LiarOptions): Promise<Liar> {
    const networkId = toTestNetworkId(options.params, options.secret)
    const account = createAccount(networkId)
    const dht = new DHT({
      bootstrap: [...options.bootstrap],
      host: '127.0.0.1',
      firewalled: false,
      ephemeral: true,
    })
    const books = await openBooks(account, options.folder)
    return new Liar(account, options, dht, books)
  }

  get id(): string {
    return this.account.id
  }

  get epoch(): number {
    return toEpoch(Date.now(), this.#options.params)
  }

  /** The nodes that it can talk to now. */
  get peers(): string[] {
    return [...this.#lines.keys()]
  }

  /** Shows itself to the mesh. Resolves when it has talked to all of these. */
  async meet(peerIds: readonly string[]): Promise<void> {
    await this.#dht.fullyBootstrapped()
    const { secret } = this.#options
    this.#swarm.join(toTopic({ network: inferenceNetwork, secret }), { server: false, client: true })
    await this.until(() => peerIds.every((peerId) => this.#lines.has(peerId)))
  }

  /** Resolves when this holds; it is looked at whenever a node says something, comes or goes. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async append(...entries: readonly Entry[]): Promise<Head> {
    await this.#log.append(entries.map(encodeEntry))
    return this.head()
  }

  async appendBytes(...entries: readonly Uint8Array[]): Promise<Head> {
    await this.#log.append(entries)
    return this.head()
  }

  /** Signs for the log as it is. */
  async head(fields: Partial<Head> = {}): Promise<Head> {
    const { length } = this.#log
    const treeHash = (await this.#log.treeHash(length)) ?? ''
    const { signer } = this.account
    return headFormat.sign(signer, { accountId: this.id, epoch: this.epoch, length, treeHash, ...fields })
  }

  /** Throws its log away and begins another one with the same key. */
  async startOver(): Promise<void> {
    await this.#store.close()
    const books = await openBooks(this.account, this.#options.folder)
    this.#store = books.store
    this.#log = books.log
    for (const { stream } of this.#lines.values()) this.#store.replicate(stream)
  }

  /** Says it to these nodes, or to all there are. */
  say(message: ScoresMessage, to: readonly string[] = this.peers): void {
    this.write(encodeFrame(toScoresObject(message)), to)
  }

  /** Its card and this head. */
  tell(head: Head, to?: readonly string[]): void {
    this.say({ type: 'score-update', cards: [this.card], heads: [head] }, to)
  }

  write(bytes: Uint8Array, to: readonly string[] = this.peers): void {
    for (const peerId of to) this.#lines.get(peerId)?.send(bytes)
  }

  /** The log of another account, from whoever has it. */
  async copyLog({ logKey }: IdentityCard, length: number): Promise<Uint8Array[]> {
    const remote = this.#store.remote(logKey)
    const { kind } = await remote.pull(length, { timeoutMs: 20_000 })
    if (kind !== 'complete') throw new Error(`the log could not be copied: ${kind}`)
    const entries: Uint8Array[] = []
    for await (const slice of remote.read(0, length)) entries.push(...slice)
    return entries
  }

  /** Dials a node by its key. @returns whether it was let in. */
  async isLetIn(peerId: string): Promise<boolean> {
    const keyPair = this.account.identity.noiseKeyPair()
    const stream = this.#dht.connect(Buffer.from(peerId, 'hex'), { keyPair })
    stream.on('error', () => {})
    const outcome = await Promise.race([
      once(stream, 'open').then(() => true),
      new Promise<boolean>((resolve) => stream.once('close', () => resolve(false))),
    ])
    stream.destroy()
    return outcome
  }

  async leave(): Promise<void> {
    for (const { stream } of this.#lines.values()) stream.destroy()
    await this.#swarm.destroy({ force: true }).catch(() => {})
    await this.#dht.destroy({ force: true }).catch(() => {})
    // A swarm that is destroyed by force keeps its timers for the next search, and each of them the process.
    await this.#swarm.clear()
    await this.#store.close()
  }

  #connected(stream: NoiseStream): void {
    stream.on('error', () => {})
    const peerId = stream.remotePublicKey.toString('hex')
    const { secret } = this.#options
    const capabilities = [toScoresCapability(this.account.signer.networkId)]
    const inference: InferenceChannel = new InferenceChannel(
      {
        stream,
        hello: { agent: 'qmesh/0.1.0', roles: ['worker'], models: [], capabilities },
        secret,
        now: () => performance.now(),
      },
      {
        greeted: () => this.#greeted(stream, peerId),
        received: () => 'ok',
        violated: () => {},
        broken: () => inference.destroy(),
        closed: () => {},
      },
    )
  }

  #greeted(stream: NoiseStream, peerId: string): void {
    this.greeted++
    const channel = Protomux.from(stream).createChannel({ protocol: scoresProtocol })
    const message = channel?.addMessage({ encoding: raw, onmessage: (bytes) => this.#hear(peerId, bytes) })
    channel?.open()
    this.#store.replicate(stream)
    const line: Line = {
      stream,
      send: (bytes) => {
        if (!stream.destroying) message?.send(bytes)
      },
    }
    this.#lines.set(peerId, line)
    stream.once('close', () => {
      this.closed.set(peerId, (this.closed.get(peerId) ?? 0) + 1)
      if (this.#lines.get(peerId) === line) this.#lines.delete(peerId)
      this.#wake()
    })
    this.#wake()
  }

  #hear(from: string, bytes: Buffer): void {
    for (const frame of new FrameDecoder().push(bytes)) {
      const parsed = frame.ok ? parseScoresMessage(frame.value) : undefined
      if (parsed?.kind === 'message') this.heard.push({ from, message: parsed.message })
    }
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

async function openBooks(account: TestAccount, folder: string) {
  const fresh = await mkdtemp(join(folder, 'liar-'))
  const store = await LogStore.open(fresh)
  // It has no wish to know how far its log was.
  const counter = { read: () => Promise.resolve(undefined), write: () => Promise.resolve() }
  const log = await store.own(account.identity.logKeyPair(account.signer.networkId), counter)
  return { store, log }
}
