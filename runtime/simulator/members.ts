import {
  type AccountState,
  applyEntry,
  createAccountState,
  type FoldContext,
  genesisParams,
} from '../../machines/trust/index.ts'
import { cardFormat, type TrustSigner } from '../../protocol/trust/index.ts'
import { firstEpoch } from './mesh.ts'
import type { Notary } from './notary.ts'
import { type Answer, trade, type TradeInput } from './trade.ts'

/** An account with its log, folded. */
export interface Member {
  readonly signer: TrustSigner
  readonly state: AccountState
}

/** What an answer was like, and what was promised before it. An ordinary one where left out. */
export interface Terms {
  readonly answer?: Answer
  readonly offer?: TradeInput['offer']
}

/** Accounts that deal with each other, when only what their logs say is of interest and not who hears of it. */
export class Members {
  readonly #notary: Notary
  readonly #random: () => number
  readonly #context: FoldContext
  #spendSeq = 1
  #count = 0

  constructor(notary: Notary, random: () => number) {
    this.#notary = notary
    this.#random = random
    this.#context = { params: genesisParams, networkId: notary.networkId }
  }

  join(name: string): Member {
    const signer = this.#notary.createSigner(`${name}/${this.#count++}`)
    const state = createAccountState(signer.id)
    const { id } = signer
    const card = cardFormat.sign(signer, {
      accountId: id,
      logKey: id,
      vrfKey: id,
      roles: 3,
      createdEpoch: firstEpoch,
      seq: 0,
      name: '',
      stampNonce: 0,
    })
    applyEntry(state, { type: 'card', card }, this.#context)
    return { signer, state }
  }

  /** An answer of the worker to the client, in both logs. @returns whether it was paid */
  serve(client: Member, worker: Member, epoch: number, { answer, offer }: Terms = {}): boolean {
    const { receipt, paid } = trade({
      client: client.signer,
      worker: worker.signer,
      params: genesisParams,
      clientEpoch: epoch,
      workerEpoch: epoch,
      spendSeq: this.#spendSeq++,
      clientState: client.state,
      random: this.#random,
      answer,
      offer,
    })
    applyEntry(worker.state, { type: 'receipt', epoch, receipt }, this.#context)
    if (paid) applyEntry(client.state, paid, this.#context)
    return paid !== undefined
  }
}
