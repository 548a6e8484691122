import { toInputDigest } from '../../machines/trust/index.ts'
import type { PeerId } from '../../protocol/index.ts'
import {
  isStatementValid,
  type ScoreStatement,
  scoreStatementFormat,
  type TrustSigner,
} from '../../protocol/trust/index.ts'
import type { BanRecord, Books } from './books.ts'
import type { Learned } from './gossip/gossip.port.ts'

export interface StatementsPorts {
  readonly signer: TrustSigner
  readonly books: Books
  /** @returns whether that was news */
  readonly ban: (record: BanRecord) => boolean
  /** Somebody stated a falsehood, for others to compare with what they hold. */
  readonly onLie: (statement: ScoreStatement) => void
}

/** What this node signs about scores, and what others' words about them are worth. */
export class Statements {
  readonly #ports: StatementsPorts

  constructor(ports: StatementsPorts) {
    this.#ports = ports
  }

  /** Undefined where the log was not read, and for any other epoch than this one. */
  of(accountId: PeerId, epoch: number): ScoreStatement | undefined {
    const { signer, books } = this.#ports
    const account = books.get(accountId)
    // A past epoch would need the log as it was then, a future one is nobody's to judge.
    if (!account?.treeHash || epoch !== books.epoch) return undefined
    const { state, treeHash } = account
    const inputDigest = toInputDigest({
      accountId,
      epoch,
      length: state.length,
      treeHash,
      banRoot: books.bans.root,
      networkId: signer.networkId,
    })
    const { values } = books.score(account, epoch)
    return scoreStatementFormat.sign(signer, { accountId, epoch, inputDigest, values, signerId: signer.id })
  }

  learn(statement: ScoreStatement): Learned {
    const { signer, ban, onLie } = this.#ports
    if (!isStatementValid(statement, signer.networkId)) return 'invalid'
    const own = this.of(statement.accountId, statement.epoch)
    if (!own || own.inputDigest !== statement.inputDigest) return 'later'
    if (own.values.join() === statement.values.join()) return 'known'
    // From the same inputs it states another result: whoever has them can see that it lies.
    const reason = `It stated a false score of the account ${statement.accountId}.`
    const { signerId, epoch } = statement
    if (!ban({ accountId: signerId, reason, epoch, isLocal: true })) return 'known'
    onLie(statement)
    return 'new'
  }
}
