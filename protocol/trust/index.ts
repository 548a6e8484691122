export { cardFormat, cardRoles, checkName, type IdentityCard, isCardValid, toName } from './card.ts'
export { toOutputCommit, toPromptCommit } from './commitments.ts'
export { type Head, headFormat, isHeadValid } from './head.ts'
export { decodeEntry, encodeEntry, type LogEntry, type PaidEntry } from './log-entry.ts'
export { checkProof, decodeProof, encodeProof, type FraudProof, toGuilty, toProofId } from './proof.ts'
export {
  type Ack,
  ackFormat,
  checkAck,
  checkOffer,
  checkReceipt,
  type Offer,
  offerFormat,
  type Receipt,
  receiptFormat,
  type Result,
  resultFormat,
  toReceiptId,
} from './receipt.ts'
export { isStatementValid, type ScoreStatement, scoreStatementFormat } from './score-statement.ts'
export { createSigner, hash256, isValidKey, type NetworkId, type TrustSigner } from './signing.ts'
