/**
 * Every bound on what a peer can feed us, in one place. Each field says its unit. What does not fit is refused with
 * a code and counted against the peer; `docs/LIMITS.md` explains the reasons.
 */
export const limits = {
  /** Bytes of one frame's JSON body. A longer one closes the connection before it is buffered. */
  frameBytesMax: 1024 * 1024,
  /** Bytes a peer may have queued in our send buffer before we stop reading from what feeds it. */
  sendBufferBytesMax: 4 * 1024 * 1024,
  /** Milliseconds a new connection has to say `hello`. */
  helloTimeoutMs: 10_000,
  /** Malformed or unexpected messages after which a peer is closed and banned for this run of the node. */
  violationsMax: 10,

  agentCharsMax: 64,
  rolesMax: 8,
  modelsMax: 32,
  capabilitiesMax: 32,
  capabilityCharsMax: 64,
  modelIdCharsMax: 128,
  errorMessageCharsMax: 512,

  /** Messages of one chat. */
  chatMessagesMax: 256,
  /** Characters of all messages of one chat, or of one raw prompt. */
  promptCharsMax: 512 * 1024,
  stopStringsMax: 8,
  stopStringCharsMax: 64,
  /** Characters of a JSON schema, as JSON text. */
  jsonSchemaCharsMax: 32 * 1024,
  /** Nesting of a JSON schema: the grammar it becomes grows with it. */
  jsonSchemaDepthMax: 32,
  /** Texts of one prompt that asks for embeddings: with the widest vectors, theirs fit one frame. */
  embedTextsMax: 32,
  /** Numbers in one embedding. */
  embeddingSizeMax: 4_096,
  /** Functions that one request may offer to the model. */
  toolsMax: 32,
  /** Characters of a function's name, and of what it says it does. */
  toolNameCharsMax: 64,
  toolDescriptionCharsMax: 8 * 1024,
  /** Characters of all of them together: names, descriptions and JSON schemas. */
  toolsCharsMax: 128 * 1024,
  /** Calls of functions in one message of a chat, and in one answer. */
  toolCallsMax: 64,
  toolCallIdCharsMax: 128,
  /** Tokens one request may ask for. */
  outputTokensMax: 32_768,
  /** Characters of one whole answer: 256 for each token it may have, the most that one token stands for. */
  outputCharsMax: 256 * 32_768,
  contextTokensMax: 16_777_216,
  slotsMax: 1_024,
  queueLengthMax: 1_000_000,
  tokenIdMax: 16_777_215,

  /** Tokens in one `response` frame. */
  responseTokensMax: 256,
  /** Characters in one `response` frame. */
  responseCharsMax: 16 * 1024,
  /** Tokens between two acknowledgements of a client. */
  ackEveryTokens: 64,
  /** Tokens a worker may be ahead of the last acknowledgement: two missing acknowledgements pause it. */
  unackedTokensMax: 128,

  /** Zero bits at the start of a hash that a worker may ask for with a prompt: sixteen million hashes. */
  effortBitsMax: 24,

  /** A ping's number; it starts again from 0 behind it. */
  pingIdMax: 0xffff_ffff,

  /** Requests one peer may have waiting or running on this worker. */
  requestsPerPeerMax: 64,
  /** Requests a client has open at once, all workers together. */
  requestsOpenMax: 1_024,
  /** Milliseconds; the longest deadline, ETA or retry hint that is believed. */
  durationMsMax: 24 * 3_600_000,
  /** Connected peers. One actor has at most 100 children. */
  peersMax: 64,
  /** Of those, peers that connected to us: strangers must not take every place. */
  inboundPeersMax: 48,
  /** Peers remembered as banned or as having misbehaved; the oldest are forgotten first. */
  offendersMax: 4_096,
  /** Peers that could not be reached and are remembered, so that they are not dialled again at once. */
  unreachablePeersMax: 4_096,
  /** Messages of unknown types, `status`, notices and prompts that are refused at once that one peer may send in a burst … */
  idleMessagesMax: 1_000,
  /** … and per second after that. */
  idleMessagesPerSecondMax: 100,
  /** Bytes of prompts that are refused at once, in a burst: all that one client may have open here, each of the longest … */
  refusedBytesMax: 64 * 1024 * 1024,
  /** … and per second after that. */
  refusedBytesPerSecondMax: 1024 * 1024,
  /** Protomux channels one connection may ask for, ours and unknown ones together. */
  channelsMax: 64,
  /** DHT nodes kept for the next start. */
  knownNodesMax: 64,

  /** Characters of one signed thing inside a message, as base64. */
  evidenceCharsMax: 1_024,
  /** Bytes of one entry of an account's log. */
  logEntryBytesMax: 4_096,
  /** Entries of one account's log. */
  logLengthMax: 1_000_000_000,
  /** Entries, and bytes of them, that a node fetches of one account's log in one epoch of its own clock … */
  pullEntriesPerEpochMax: 16_384,
  pullBytesPerEpochMax: 16 * 1024 * 1024,
  /** … and in all: a longer log is not read on. */
  pullEntriesMax: 2_000_000,
  pullBytesMax: 1024 * 1024 * 1024,
  /** Bytes of all accounts' logs; once they are reached, nobody's grows beyond an equal share of them, and at twice that none. */
  logsBytesMax: 8 * 1024 * 1024 * 1024,
  /**
   * What a log comes to is kept in memory by client and day: so many sums of one account; and of all, beyond which
   * nobody's grow over an equal share.
   */
  sumsPerAccountMax: 100_000,
  sumsMax: 2_000_000,
  /** Characters of the name that an account's owner chose for it, and bytes of it in UTF-8. */
  cardNameCharsMax: 32,
  cardNameBytesMax: 64,
  /** The last epoch there is, in epochs since 1970. */
  epochMax: 0xffff_ffff,
  /** Milli-credits; the highest price that is believed. */
  priceMax: 1_000_000_000,

  /** Bytes of one frame of the scores network: what its longest lists come to, and some room. */
  scoresFrameBytesMax: 256 * 1024,
  /** Cards, heads and proofs in one message. */
  scoresCardsMax: 64,
  scoresHeadsMax: 256,
  scoresProofsMax: 16,
  /** Accounts that one message says it holds; of more, a round repairs a part. */
  scoresHoldingsMax: 4_096,
  /** Accounts that one message asks for, heads and cards each. */
  scoresWantedMax: 256,
  /** Bans that one message names. */
  scoresBansMax: 256,
  /** Nodes on which one message reports, and on which a node keeps what it saw. */
  scoresReportsMax: 64,
  /** Signatures to verify that one peer may ask for in a burst, and per second after that. */
  gossipSignaturesBurst: 1_000,
  gossipSignaturesPerSecond: 200,
  /** The same for cards: each may have a stamp to check. */
  gossipCardsBurst: 512,
  gossipCardsPerSecond: 4,
  /** The same for messages that ask for something, and those of unknown types. */
  gossipQuestionsBurst: 256,
  gossipQuestionsPerSecond: 20,
  /** The same for KiB in all. */
  gossipKibBurst: 2_048,
  gossipKibPerSecond: 128,
  /** The same for digests that are compared; more are ignored. */
  gossipDigestsBurst: 8,
  gossipDigestsPerSecond: 1,
  /** The same for scores told to one peer. */
  gossipStatementsBurst: 4,
  gossipStatementsPerSecond: 1,
  /** Bytes that may wait for one peer, of all channels, before gossip holds back. */
  gossipBufferBytesMax: 256 * 1024,
  /** Cards of one peer that wait for their check. */
  gossipCardsWaitingMax: 512,
  /** Heads that were asked for between two rounds because somebody named them. */
  gossipAskedMax: 4_096,
  /** Nodes whose stated scores are remembered, and scores of each. */
  statementSignersMax: 256,
  statementsPerSignerMax: 64,
  /** Nodes of which is remembered how often they were right about scores. */
  reportersMax: 1_024,
} as const
