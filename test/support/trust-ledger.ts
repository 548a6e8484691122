import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { BanRecord } from '../../actors/trust/books.ts'
import { Ledger } from '../../actors/trust/ledger.ts'
import type { LedgerOptions } from '../../actors/trust/ledger-options.ts'
import { LogStore } from '../../actors/trust/log/log-store.ts'
import type { TrustParams } from '../../machines/trust/index.ts'
import type { QMeshError } from '../../protocol/index.ts'
import type { FraudProof } from '../../protocol/trust/index.ts'
import { createAccount, type TestAccount, toTestNetworkId, toTestParams } from './trust-receipts.ts'

/** Real books on a real store, without a network, under a clock that the test sets. */
export interface LedgerRig {
  readonly ledger: Ledger
  /** With which the ledger was opened. */
  readonly options: LedgerOptions
  readonly store: LogStore
  readonly account: TestAccount
  readonly params: TrustParams
  readonly banned: readonly BanRecord[]
  readonly problems: readonly QMeshError[]
  /** Proofs against the node itself. */
  readonly accused: readonly FraudProof[]
  /** Somebody else's keys, for the same network. */
  readonly stranger: () => TestAccount
  /** Moves the clock on, by epochs. */
  readonly advance: (epochs: number) => void
}

/** @param given what a test wants to see used or told: a cache, a file */
export async function openLedger(
  given: Pick<LedgerOptions, 'cache' | 'unwritten' | 'onRoom'> = {},
): Promise<LedgerRig> {
  const folder = await mkdtemp(join(tmpdir(), 'qmesh-ledger-'))
  const params = toTestParams(60)
  const networkId = toTestNetworkId(params, 'test')
  const account = createAccount(networkId)
  const { identity, signer } = account
  const logKeys = identity.logKeyPair(networkId)
  const store = await LogStore.open(folder)
  const counter = { read: () => Promise.resolve(undefined), write: () => Promise.resolve() }
  const log = await store.own(logKeys, counter)
  let nowMs = 1_700_000_000_000
  const banned: BanRecord[] = []
  const problems: QMeshError[] = []
  const accused: FraudProof[] = []
  const options: LedgerOptions = {
    signer,
    params,
    store,
    log,
    keys: {
      log: logKeys.publicKey.toString('hex'),
      vrf: identity.vrfKeyPair().publicKey.toString('hex'),
    },
    roles: ['client'],
    name: '',
    wallMs: () => nowMs,
    onBanned: (record) => banned.push(record),
    onNews: () => {},
    onRestored: () => {},
    onChanged: () => {},
    onSweep: () => {},
    onProblem: (error) => problems.push(error),
    onAccused: (proof) => accused.push(proof),
    ...given,
  }
  const ledger = await Ledger.open(options)
  onTestFinished(async () => {
    await ledger.close()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    ledger,
    options,
    store,
    account,
    params,
    banned,
    problems,
    accused,
    stranger: () => createAccount(networkId),
    advance: (epochs) => {
      nowMs += epochs * params.epochSeconds * 1_000
    },
  }
}
