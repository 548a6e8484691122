/**
 * Bounds of what is said about models: manifests, catalogs, and what moves between peers. Each field says its unit;
 * `docs/LIMITS.md` explains the reasons.
 */
export const modelLimits = {
  /** Bytes of one manifest in its canonical encoding, signature included. */
  manifestBytesMax: 16 * 1024,
  /** Bytes of one manifest as a JSON file. */
  manifestFileBytesMax: 64 * 1024,
  /** Bytes of one catalog in its canonical encoding: as base64 it fits one frame. */
  catalogBytesMax: 512 * 1024,
  /** Models of one catalog. */
  catalogModelsMax: 512,
  /** Milliseconds that a peer has to send a catalog it was asked for, before another peer is asked, too. */
  catalogAnswerMs: 5_000,
  /** Milliseconds between two catalogs of one publisher that are taken: nobody keeps a mesh busy with versions. */
  catalogRestMs: 5_000,
  /** Models that a node knows from all catalogs together. */
  knownModelsMax: 4_096,
  /** Different manifests of one SHA-256 by which its file is looked for. */
  manifestsTriedMax: 64,
  /** Of these, how many may bring bytes and not the file, before it is given up. */
  manifestsCostlyMax: 8,
  /** Manifests of strangers that are remembered to have led to a wrong file. */
  liesMax: 1_024,
  /** Files fetched by the word of a stranger that were wrong as a whole, after which it counts as a lie. */
  wrongFilesMax: 2,
  /** Publishers that a node trusts. */
  publishersMax: 256,

  /** Bytes of UTF-8 of a name for people. */
  modelNameBytesMax: 128,
  /** Bytes of UTF-8 of a description. */
  descriptionBytesMax: 1_024,
  /** Bytes of a licence's SPDX id, an architecture or a quantization. */
  factBytesMax: 64,
  tagsMax: 16,
  tagBytesMax: 32,
  sourcesMax: 16,
  /** Bytes of an address, and of a path. */
  urlBytesMax: 2_048,
  pathBytesMax: 1_024,
  /** Bytes of one model file: 16 TiB. */
  modelBytesMax: 2 ** 44,
  /** Parameters of one model. */
  parametersMax: 2 ** 48,
  /** Width of an embedding. */
  embeddingLengthMax: 1_048_576,
} as const

/** Bytes of one block of a model file: what is verified, fetched and repaired by itself. The last one may be shorter. */
export const blockBytes = 64 * 1024
