import { toRange } from '../../machines/trust/head-table.ts'
import { genesisParams, type TrustParams } from '../../machines/trust/index.ts'
import { createRandom } from '../../machines/selection/random.ts'
import { cardFormat, type Head, headFormat, scoreStatementFormat } from '../../protocol/trust/index.ts'
import { connect } from './connect.ts'
import { VirtualNetwork } from './network.ts'
import type { Notary } from './notary.ts'
import type { NodeStrategy } from './options.ts'
import { rememberChecks } from './remember-checks.ts'
import { SimLog } from './sim-log.ts'
import { type SimAccount, SimNode } from './sim-node.ts'
import { VirtualClock } from './virtual-clock.ts'
import { measureWire, type WireSizes } from './wire-sizes.ts'

export interface MeshInput {
  readonly nodes: number
  readonly seed: number
  readonly misbehaving: number
  /** Given to the misbehaving nodes in turn. */
  readonly strategies: readonly NodeStrategy[]
  readonly notary: Notary
  /** Nodes that have an account, of the first ones; all where memory allows it. */
  readonly accountsMax?: number
  /** Called every now and then; rejects to end the run. */
  readonly pause?: () => Promise<void>
}

/** Known accounts of all nodes together; beyond, a run would take more memory than a small machine has. */
const knowledgeMax = 2_000_000
/** Epochs by which an account's clock may be off, either way: 10 minutes. */
const skewEpochsMax = 10
/** Every so many accounts has a clock that is off. */
const skewedEvery = 10

/** The epoch in which a run begins, the first of a day: days decide what a ban makes void. */
export const firstEpoch = 20_000 * genesisParams.epochsPerDay

/** Everything that a run consists of: accounts with logs, nodes with connections, the clock and the network. */
export class Mesh {
  readonly params: TrustParams = genesisParams
  readonly clock: VirtualClock
  readonly random: () => number
  readonly net: VirtualNetwork
  readonly notary: Notary
  readonly accounts: readonly SimAccount[]
  readonly indexOf: ReadonlyMap<string, number>
  readonly nodes: readonly SimNode[]
  readonly sizes: WireSizes
  /** Accounts by range of their ids. */
  readonly ranges: readonly (readonly number[])[]

  constructor(input: MeshInput) {
    const { nodes, seed, misbehaving, strategies, notary, pause } = input
    const { accountsMax = Math.floor(knowledgeMax / nodes) } = input
    this.clock = new VirtualClock(pause)
    this.random = createRandom(seed)
    this.net = new VirtualNetwork(this.clock, this.random, nodes)
    this.notary = rememberChecks(notary)
    const accountCount = Math.min(nodes, accountsMax)
    this.accounts = Array.from({ length: accountCount }, (_, index) => this.#createAccount(index, seed))
    this.indexOf = new Map(this.accounts.map(({ signer, index }) => [signer.id, index]))
    this.ranges = Array.from({ length: 16 }, (_, range) =>
      this.accounts.filter((account) => account.range === range).map(({ index }) => index),
    )
    this.sizes = this.#measureWire()
    let liars = 0
    this.nodes = Array.from({ length: nodes }, (_, index) => {
      // Spread evenly, so that among the accounts there are as many as among the nodes.
      const isLiar = strategies.length > 0 && Math.floor((index + 1) * misbehaving + 1e-9) > liars
      const strategy = isLiar ? strategies[liars++ % strategies.length] : undefined
      return new SimNode({ index, strategy, accounts: this.accounts, params: this.params })
    })
    connect(this.nodes, this.random)
    for (const { index, logs } of this.accounts) {
      const [log] = logs
      const head = log && this.toHead(index, log)
      for (const node of this.nodes) {
        if (!head) continue
        node.takeHead(index, head)
        node.read[index] = head.length
        node.readLogs[index] = log
      }
    }
  }

  get epoch(): number {
    return firstEpoch + Math.floor(this.clock.nowMs / (1_000 * this.params.epochSeconds))
  }

  /** The epoch by an account's own clock. */
  epochOf(account: number): number {
    return this.epoch + this.account(account).skewEpochs
  }

  get honest(): readonly SimNode[] {
    return this.nodes.filter(({ isHonest, isOnline }) => isHonest && isOnline)
  }

  account(index: number): SimAccount {
    const account = this.accounts[index]
    if (!account) throw new RangeError(`Expected an account, got number ${index}`)
    return account
  }

  node(index: number): SimNode {
    const node = this.nodes[index]
    if (!node) throw new RangeError(`Expected a node, got number ${index}`)
    return node
  }

  toHead(account: number, log: SimLog, length = log.length): Head {
    const { signer } = this.account(account)
    const treeHash = log.treeHashes[length - 1] ?? ''
    return headFormat.sign(signer, { accountId: signer.id, epoch: this.epochOf(account), length, treeHash })
  }

  /** The head of each branch of a log. */
  toHeads(account: number): Head[] {
    return this.account(account).logs.map((log) => this.toHead(account, log))
  }

  /** The branch that a head is of. */
  logOf(account: number, head: Head): SimLog | undefined {
    return this.account(account).logs.find((log) => log.treeHashes[head.length - 1] === head.treeHash)
  }

  /** Some of a list, each at most once. */
  pick<T>(list: readonly T[], count: number): T[] {
    const rest = [...list]
    const chosen: T[] = []
    while (chosen.length < count && rest.length > 0) {
      const at = Math.floor(this.random() * rest.length)
      const [one] = rest.splice(at, 1)
      if (one !== undefined) chosen.push(one)
    }
    return chosen
  }

  disconnect(one: SimNode, other: SimNode): void {
    one.links.delete(other.index)
    other.links.delete(one.index)
  }

  #createAccount(index: number, seed: number): SimAccount {
    const signer = this.notary.createSigner(`${seed}/${index}`)
    const log = new SimLog(signer.id, this.notary, { params: this.params, networkId: signer.networkId })
    const card = cardFormat.sign(signer, {
      accountId: signer.id,
      logKey: signer.id,
      vrfKey: signer.id,
      roles: 3,
      createdEpoch: firstEpoch,
      seq: 0,
      name: '',
      stampNonce: 0,
    })
    log.append({ type: 'card', card })
    const isSkewed = index % skewedEvery === skewedEvery - 1
    const skewEpochs = isSkewed ? Math.round((2 * this.random() - 1) * skewEpochsMax) : 0
    return { index, signer, range: toRange(signer.id), logs: [log], skewEpochs }
  }

  #measureWire(): WireSizes {
    const [account] = this.accounts
    const [log] = account?.logs ?? []
    if (!account || !log) throw new RangeError('Expected at least one account')
    const { signer } = account
    const head = this.toHead(0, log)
    const other = headFormat.sign(signer, { ...head, treeHash: 'ff'.repeat(32) })
    const statement = scoreStatementFormat.sign(signer, {
      accountId: signer.id,
      epoch: this.epoch,
      inputDigest: head.treeHash,
      values: [100, 200_000, 100_000, 100_000, 0],
      signerId: signer.id,
    })
    return measureWire({ head, proof: { kind: 'fork', a: head, b: other }, statement })
  }
}
