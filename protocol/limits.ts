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
  /** Messages of unknown types, `status` and notices without a request that one peer may send in a burst … */
  idleMessagesMax: 1_000,
  /** … and per second after that. */
  idleMessagesPerSecondMax: 100,
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
  /** Characters of the name that an account's owner chose for it, and bytes of it in UTF-8. */
  cardNameCharsMax: 32,
  cardNameBytesMax: 64,
  /** The last epoch there is, in epochs since 1970. */
  epochMax: 0xffff_ffff,
  /** Milli-credits; the highest price that is believed. */
  priceMax: 1_000_000_000,
} as const
