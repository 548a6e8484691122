import { limits } from '../../../protocol/index.ts'

/**
 * What one peer may send on the scores network, and what this node keeps for it. Each pair is a burst and what comes
 * back per second; `protocol/limits.ts` says what each is.
 */
export const gossipLimits = {
  signaturesBurst: limits.gossipSignaturesBurst,
  signaturesPerSecond: limits.gossipSignaturesPerSecond,
  cardsBurst: limits.gossipCardsBurst,
  cardsPerSecond: limits.gossipCardsPerSecond,
  questionsBurst: limits.gossipQuestionsBurst,
  questionsPerSecond: limits.gossipQuestionsPerSecond,
  kibBurst: limits.gossipKibBurst,
  kibPerSecond: limits.gossipKibPerSecond,
  digestsBurst: limits.gossipDigestsBurst,
  digestsPerSecond: limits.gossipDigestsPerSecond,
  statementsBurst: limits.gossipStatementsBurst,
  statementsPerSecond: limits.gossipStatementsPerSecond,
  /** An honest node keeps below what the receiver permits: this part of it, in percent. */
  ownSharePercent: 75,
  bufferBytesMax: limits.gossipBufferBytesMax,
  cardsWaitingMax: limits.gossipCardsWaitingMax,
  askedMax: limits.gossipAskedMax,
} as const

/** Peers up to which others' heads are named at once; with more of them nearly everybody hears them first-hand. */
export const eagerPeersMax = 32
/** Peers to whom a head is named: all of few, and of many enough that one in twenty waits for a round. */
export const namesPerHead = 3
/** Peers asked in one round. */
export const roundPeers = 3
