import type { IdentityCard } from '../../../protocol/trust/card.ts'
import type { LogEntry } from '../../../protocol/trust/log-entry.ts'
import type { Receipt } from '../../../protocol/trust/receipt.ts'
import { createAccountState } from '../../../machines/trust/account-state.ts'
import type { AccountState, LogFault } from '../../../machines/trust/account-state.ts'
import { applyEntry } from '../../../machines/trust/account.ts'
import { genesisParams, toNetworkId } from '../../../machines/trust/params.ts'
import type { TrustParams } from '../../../machines/trust/params.ts'
import { toPrice } from '../../../machines/trust/points.ts'

/**
 * Receipts and logs without signatures: the fold takes them for checked. Everything else is as the nodes write it.
 */
export const params = genesisParams
export const networkId = toNetworkId(params)
export const bytes = (n: number, length: number): string => n.toString(16).padStart(2 * length, '0')
export const accountOf = (n: number): string => bytes(n, 32)
export const workerId = accountOf(0xbeef)

/** The epoch at which the logs of these tests begin: the start of a day. */
export const epoch0 = 20_000 * 1_440

export interface ReceiptSpec {
  readonly request?: number
  readonly client?: number
  readonly worker?: string
  /** Epoch of the result, and where no other is given of the offer. */
  readonly epoch?: number
  readonly offerEpoch?: number
  readonly nIn?: number
  readonly nOut?: number
  readonly maxOut?: number
  readonly price?: number
  readonly balanceAfter?: number
  readonly totalMs?: number
  readonly clientMs?: number
  readonly finish?: Receipt['result']['finish']
  readonly ack?: 'none' | 'tick' | 'closing' | 'final'
  readonly received?: number
  readonly samplingId?: 0 | 1 | 2
  readonly gratis?: boolean
  readonly auditable?: boolean
  readonly modelHash?: string
  readonly private?: boolean
}

/** A sound, funded, full receipt of 5 + 2 + 2 points, unless told otherwise. */
export function createReceipt(spec: ReceiptSpec = {}): Receipt {
  const { request = 1, client = 1, epoch = epoch0, nIn = 100, nOut = 64, totalMs = 900 } = spec
  const { gratis = false, ack = 'final', received = nOut } = spec
  const price = spec.price ?? (gratis ? 0 : toPrice(nIn, nOut, params))
  const signature = bytes(0, 64)
  const offerHash = bytes(request, 32)
  return {
    offer: {
      requestId: bytes(request, 16),
      clientId: accountOf(client),
      workerId: spec.worker ?? workerId,
      modelHash: spec.modelHash ?? bytes(7, 32),
      promptCommit: bytes(8, 32),
      maxOut: spec.maxOut ?? 512,
      samplingId: spec.samplingId ?? 0,
      seed: 0,
      maxPrice: 1_000_000,
      epoch: spec.offerEpoch ?? epoch,
      spendSeq: epoch * 60_000 + request,
      balanceAfter: spec.balanceAfter ?? 0,
      headLength: 1,
      headHash: bytes(9, 16),
      resumed: 0,
      flags: {
        isAuditable: spec.auditable ?? true,
        isPrivate: spec.private ?? false,
        isStreaming: true,
        isGratis: gratis,
      },
      effortNonce: '',
      signature,
    },
    result: {
      offerHash,
      outputCommit: bytes(10, 32),
      nIn,
      nOut,
      finish: spec.finish ?? 'length',
      firstTokenMs: 100,
      totalMs,
      price,
      execProfile: 0,
      epoch,
      signature,
    },
    ack:
      ack === 'none'
        ? null
        : {
            offerHash,
            kind: ack,
            received,
            resultHash: ack === 'final' ? bytes(11, 32) : '',
            clientMs: spec.clientMs ?? totalMs,
            epoch,
            signature,
          },
  }
}

export function createCard(fields: Partial<IdentityCard> = {}): LogEntry {
  return {
    type: 'card',
    card: {
      accountId: workerId,
      logKey: bytes(12, 32),
      vrfKey: bytes(13, 32),
      roles: 3,
      createdEpoch: epoch0,
      seq: 0,
      name: 'tester',
      stampNonce: 0,
      signature: bytes(0, 64),
      ...fields,
    },
  }
}

/** The entry of a receipt, filed in its own epoch unless told otherwise. */
export const filed = (receipt: Receipt, epoch = receipt.result.epoch): LogEntry => ({
  type: 'receipt',
  epoch,
  receipt,
})

export const paid = (epoch: number, spendSeq: number, amount: number): LogEntry => ({
  type: 'paid',
  epoch,
  workerId: accountOf(1),
  requestId: bytes(spendSeq, 16),
  spendSeq,
  amount,
})

/** Folds entries behind a card into a new state, or more of them into one that there is. */
export function fold(
  entries: readonly LogEntry[],
  {
    state,
    accountId = workerId,
    params: p = params,
  }: { state?: AccountState; accountId?: string; params?: TrustParams } = {},
): { state: AccountState; faults: LogFault[] } {
  const faults: LogFault[] = []
  const folded = state ?? createAccountState(accountId)
  const all = state === undefined ? [createCard({ accountId }), ...entries] : entries
  for (const entry of all) {
    const { fault } = applyEntry(folded, entry, { params: p, networkId })
    if (fault !== undefined) faults.push(fault)
  }
  return { state: folded, faults }
}
