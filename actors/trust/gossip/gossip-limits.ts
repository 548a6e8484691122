/**
 * What one peer may send on the scores network, and what this node keeps for it. Each pair is a burst and what comes
 * back per second. They belong in `protocol/limits.ts`.
 */
export const gossipLimits = {
  /** Signatures to verify, 55 µs each: one peer takes at most a hundredth of a core. */
  signaturesBurst: 1_000,
  signaturesPerSecond: 200,
  /** Cards: to check the stamp of one takes 80 ms of a core, although not of the main thread. */
  cardsBurst: 512,
  cardsPerSecond: 4,
  /** Messages that ask for something, and those of unknown types. */
  questionsBurst: 256,
  questionsPerSecond: 20,
  /** KiB in all. */
  kibBurst: 2_048,
  kibPerSecond: 128,
  /** Digests of one peer that are compared; more are ignored. */
  digestsBurst: 8,
  digestsPerSecond: 1,
  /** Scores told to one peer. */
  statementsBurst: 4,
  statementsPerSecond: 1,
  /** An honest node keeps below what the receiver permits: this part of it, in percent. */
  ownSharePercent: 75,
  /** Bytes that may wait for one peer, of all channels, before gossip holds back; a later round repairs it. */
  bufferBytesMax: 256 * 1_024,
  /** Cards of one peer that wait for their check. */
  cardsWaitingMax: 512,
  /** Times a proof against one account is pushed; more of them, with earlier dates, go with the rounds. */
  proofPushesMax: 2,
  /** Heads that were asked for in a round because somebody named them. */
  askedMax: 4_096,
} as const

/** Peers up to which others' heads are named at once; with more of them nearly everybody hears them first-hand. */
export const eagerPeersMax = 32
/** Peers to whom a head is named: all of few, and of many enough that one in twenty waits for a round. */
export const namesPerHead = 3
/** Peers asked in one round. */
export const roundPeers = 3
