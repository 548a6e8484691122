/**
 * One error class and one catalogue. Match on `code`, never on text. `docs/ERRORS.md` lists every code; a test
 * compares the two.
 */

/** Whose standing suffers: only a worker's own failure may lower a worker's standing. */
export type Blame = 'client' | 'worker' | 'network' | 'operator'
/** What the request may do next: try another worker, try later, or give up. */
export type Retry = 'elsewhere' | 'later' | 'never'

interface CatalogueEntry {
  readonly sentence: string
  readonly blame: Blame
  readonly retry: Retry
}

const entry = (blame: Blame, retry: Retry, sentence: string): CatalogueEntry => ({ sentence, blame, retry })

export const errorCatalogue = {
  // The wire.
  QM_FRAME_TOO_LONG: entry(
    'worker',
    'elsewhere',
    'A frame was longer than 1 MiB; the connection was closed.',
  ),
  QM_FRAME_NOT_JSON: entry('worker', 'elsewhere', 'A frame was not valid UTF-8 JSON.'),
  QM_MESSAGE_INVALID: entry('worker', 'elsewhere', 'A message had a missing field or one out of bounds.'),
  QM_MESSAGE_UNEXPECTED: entry(
    'worker',
    'elsewhere',
    'A message came out of order, twice, or for a request that does not exist.',
  ),
  QM_HELLO_TIMEOUT: entry('network', 'elsewhere', 'The peer connected but did not say hello in time.'),
  QM_PROTOCOL_VERSION: entry(
    'network',
    'elsewhere',
    'The peer speaks a protocol version that this node does not.',
  ),
  QM_SECRET_MISMATCH: entry(
    'network',
    'elsewhere',
    'The peer could not prove that it knows the mesh secret.',
  ),
  QM_TOO_MANY_VIOLATIONS: entry(
    'worker',
    'elsewhere',
    'The peer sent too many malformed messages and was disconnected.',
  ),

  // What a worker answers.
  QM_MODEL_UNKNOWN: entry('client', 'elsewhere', 'The worker does not hold that model.'),
  QM_MODEL_KIND: entry(
    'client',
    'elsewhere',
    'The model is of another kind: a model that answers makes no embeddings, one that makes embeddings does not answer.',
  ),
  QM_CONTEXT_EXCEEDED: entry(
    'client',
    'never',
    'The prompt and the tokens asked for do not fit the context of the model.',
  ),
  QM_JSON_SCHEMA_INVALID: entry('client', 'never', 'The JSON schema cannot be turned into a grammar.'),
  QM_TOOLS_UNSUPPORTED: entry(
    'client',
    'elsewhere',
    'The chat template of the model knows no functions that it could call.',
  ),
  QM_CHAT_TEMPLATE_FAILED: entry(
    'client',
    'never',
    'The chat template of the model cannot express these messages.',
  ),
  QM_RESUME_INVALID: entry(
    'client',
    'never',
    'The tokens to resume after are not ones that this model could have answered with.',
  ),
  QM_DUPLICATE_REQUEST: entry('client', 'never', 'A request with this id is already waiting or running.'),
  QM_QUEUE_FULL: entry('network', 'elsewhere', 'The queue of the worker is full.'),
  QM_RATE_LIMITED: entry('network', 'elsewhere', 'The client sent more requests than its tier allows.'),
  QM_EFFORT_REQUIRED: entry(
    'network',
    'elsewhere',
    'The queue of the worker is nearly full, and it asks newcomers for some work with each prompt.',
  ),
  QM_OVERLOADED: entry(
    'network',
    'elsewhere',
    'The worker is busy with other things and takes no requests now.',
  ),
  QM_DRAINING: entry('network', 'elsewhere', 'The worker is pausing or stopping and takes no new requests.'),
  QM_DEADLINE_PASSED: entry(
    'client',
    'never',
    'The deadline given by the client passed before the request could finish.',
  ),
  QM_INFERENCE_FAILED: entry('worker', 'elsewhere', 'The inference engine reported an error.'),
  QM_ENGINE_CRASHED: entry(
    'worker',
    'elsewhere',
    'The inference thread ended unexpectedly; the model is being reloaded.',
  ),
  QM_ENGINE_HUNG: entry('worker', 'elsewhere', 'The inference thread made no progress and was replaced.'),

  // What a client sees.
  QM_NO_WORKERS: entry('network', 'later', 'No worker for this request was found.'),
  QM_WORKER_LOST: entry(
    'worker',
    'elsewhere',
    'The connection to the worker closed before the answer was complete.',
  ),
  QM_WORKER_STALLED: entry('worker', 'elsewhere', 'The worker stopped sending tokens.'),
  QM_WORKER_MISBEHAVED: entry('worker', 'elsewhere', 'The worker broke the protocol in mid-answer.'),
  QM_ATTEMPTS_EXHAUSTED: entry('network', 'later', 'Every worker that was tried refused or failed.'),
  QM_CANCELLED: entry('client', 'never', 'The request was cancelled.'),
  QM_READER_TOO_SLOW: entry('client', 'never', 'The reader of the answer went away without cancelling.'),
  QM_TOO_MANY_REQUESTS: entry('client', 'later', 'This node already has as many open requests as it may.'),
  QM_REQUEST_INVALID: entry('client', 'never', 'The request has a missing option or one out of bounds.'),
  QM_NODE_STOPPED: entry('client', 'never', 'The node is stopping or has stopped.'),
  QM_REQUEST_UNKNOWN: entry('client', 'never', 'The node remembers no such request.'),

  // Model files.
  QM_MODEL_FILE_MISSING: entry('operator', 'never', 'The model file does not exist or cannot be read.'),
  QM_MODEL_FILE_INVALID: entry('operator', 'never', 'The model file is not a complete GGUF file.'),
  QM_MODEL_UNSUPPORTED: entry('operator', 'never', 'The engine cannot run this kind of model.'),
  QM_MODEL_TOO_LARGE: entry(
    'operator',
    'never',
    'The model and its context do not fit the memory of this machine.',
  ),
  QM_MODEL_HASH_MISMATCH: entry(
    'operator',
    'never',
    'The model file does not have the SHA-256 its manifest states.',
  ),
  QM_MODEL_NOT_FOUND: entry(
    'operator',
    'never',
    'No model of that name is in the store or in a catalog of this node.',
  ),
  QM_MODEL_BUSY: entry('operator', 'later', 'Another process is working on this model, or uses it.'),
  QM_MODEL_INVALID: entry(
    'operator',
    'never',
    'The model failed a check and is not used: it is not what its manifest says, or the engine cannot load it.',
  ),
  QM_MODEL_DAMAGED: entry(
    'operator',
    'never',
    'A stored model is not any more what it was when it was stored.',
  ),
  QM_MODEL_UNTRUSTED: entry(
    'operator',
    'never',
    'The publisher of the model is not one that this node trusts.',
  ),
  QM_MANIFEST_INVALID: entry(
    'operator',
    'never',
    'A manifest or a catalog cannot be read, or its signature does not fit.',
  ),
  QM_SOURCE_FAILED: entry('network', 'later', 'No source of the model could give all of it.'),
  QM_DISK_FULL: entry('operator', 'later', 'The disk has no room for the model.'),

  QM_ENGINE_UNAVAILABLE: entry(
    'operator',
    'later',
    'The program that runs the model for this node cannot be reached or used.',
  ),

  // The node and its owner.
  QM_CONFIG_SYNTAX: entry('operator', 'never', 'The configuration file is not valid TOML.'),
  QM_CONFIG_INVALID: entry(
    'operator',
    'never',
    'A configuration key is unknown or its value is out of bounds.',
  ),
  QM_DATA_DIR_UNUSABLE: entry('operator', 'never', 'The data directory cannot be created, read or written.'),
  QM_DATA_DIR_LOCKED: entry('operator', 'never', 'Another node is using this data directory.'),
  QM_IDENTITY_EXPOSED: entry('operator', 'never', 'The identity file can be read by other users.'),
  QM_IDENTITY_INVALID: entry('operator', 'never', 'The identity file is damaged.'),
  QM_PORT_TAKEN: entry('operator', 'never', 'Another program is using the port.'),
  QM_NETWORK_UNAVAILABLE: entry('operator', 'later', 'The network address cannot be used.'),
  QM_NODE_NOT_RUNNING: entry('operator', 'never', 'No node is running on this data directory.'),
  QM_OUTPUT_FAILED: entry('operator', 'never', 'Standard output cannot be written.'),
  QM_USAGE: entry('operator', 'never', 'The command line is not understood.'),
  QM_ACTOR_GAVE_UP: entry(
    'operator',
    'never',
    'A part of the node failed too often and was not restarted again.',
  ),
  QM_INTERNAL: entry('operator', 'never', 'A defect in QMesh.'),

  // Evidence of work: receipts, logs, scores.
  QM_EVIDENCE_INVALID: entry(
    'worker',
    'elsewhere',
    'Signed evidence could not be read, or its signature does not fit.',
  ),
  QM_OFFER_INVALID: entry(
    'client',
    'elsewhere',
    'The offer that came with the prompt does not fit the prompt, or was made before.',
  ),
  QM_ACCOUNT_UNKNOWN: entry('client', 'never', 'This node has heard of no such account.'),
  QM_ACCOUNT_BANNED: entry(
    'client',
    'never',
    'The account is banned: there is proof that it broke the rules.',
  ),
  QM_LOG_FORKED: entry(
    'operator',
    'never',
    'Other nodes hold a longer or different log of this node: its data directory was restored or copied.',
  ),
  QM_LOG_DAMAGED: entry('operator', 'never', 'The log of this node cannot be read or written.'),
  QM_KEYS_INVALID: entry('operator', 'never', 'The file does not hold the keys of a node.'),
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof errorCatalogue

export const errorCodes = Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]]

export const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(errorCatalogue, value)

export interface QMeshErrorOptions extends ErrorOptions {
  /** Milliseconds after which trying again makes sense. */
  readonly retryAfterMs?: number
}

/** The only error that QMesh throws on purpose. Its message is fit for a user: no stack, what was expected, what came. */
export class QMeshError extends Error {
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined

  /** @param detail what exactly was wrong and what to do; without it the catalogue's sentence stands alone. */
  constructor(code: ErrorCode, detail?: string, options?: QMeshErrorOptions) {
    super(detail ?? errorCatalogue[code].sentence, options)
    this.name = 'QMeshError'
    this.code = code
    this.retryAfterMs = options?.retryAfterMs
  }

  get blame(): Blame {
    return errorCatalogue[this.code].blame
  }

  get retry(): Retry {
    return errorCatalogue[this.code].retry
  }
}

/** Characters of what a program threw that are shown: it goes into every status and line of the log. */
const thrownCharsMax = 1_024

/** What something thrown says of itself. There are values that no text can be made of. */
function toThrownText(error: unknown): string {
  let text: string
  try {
    text = String(error instanceof Error ? error.message : error)
  } catch {
    text = 'it threw what cannot be read'
  }
  return text.length > thrownCharsMax ? `${text.slice(0, thrownCharsMax)}…` : text
}

const isQMeshError = (error: unknown): error is QMeshError => {
  try {
    return error instanceof QMeshError
  } catch {
    // Of a proxy even that may throw.
    return false
  }
}

/**
 * Wraps anything thrown; a `QMeshError` passes through unchanged and the cause is always kept. Never throws.
 *
 * @param sentence what failed; default that of the catalogue
 */
export function toQMeshError(
  error: unknown,
  fallback: ErrorCode = 'QM_INTERNAL',
  sentence: string = errorCatalogue[fallback].sentence,
): QMeshError {
  if (isQMeshError(error)) return error
  return new QMeshError(fallback, `${sentence} (${toThrownText(error)})`, { cause: error })
}
