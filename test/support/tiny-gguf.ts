import { writeFileSync } from 'node:fs'
import { alignment, createGguf, tokenType, type GgufTensor, type GgufValue } from './gguf-writer.ts'

/**
 * Writes a complete llama GGUF with random weights: under 1 MB, loads in milliseconds, says nonsense (and often
 * bytes that are not UTF-8, which is what half of the tests want). Equal options give equal bytes.
 */
export interface TinyGgufOptions {
  /** Draws the weights: another seed is another model hash. Default 1. */
  readonly seed?: number
  /** `spm` falls back to byte tokens; `bpe` is byte-level, as in GPT-2. Default `spm`. */
  readonly tokenizer?: 'spm' | 'bpe'
  /** Context the model claims to be trained for. Default 2,048. */
  readonly contextTokens?: number
  /** Layers; more layers make it slower. Default 2. */
  readonly layers?: number
  /** A Jinja template; null leaves it out. Default: ChatML. */
  readonly chatTemplate?: string | null
  /** Never ends its turn when greedy, so that an answer is as long as asked. Default false. */
  readonly isEndless?: boolean
  /** Further tokens of an `spm` vocabulary, such as marks of calls. */
  readonly marks?: readonly { readonly text: string; readonly isControl: boolean }[]
}

export const chatMlTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

const embedding = 64
const heads = 4
const kvHeads = 2
const feedForward = 128

interface Vocabulary {
  readonly tokens: readonly string[]
  readonly types: readonly number[]
  readonly scores: readonly number[]
  readonly merges: readonly string[]
}

const control = ['<s>', '</s>', '<|im_start|>', '<|im_end|>'] as const
const words = ['the', 'th', 'he', 'in', 'an', 'er', 'on', 'is', 'to', 'of', 'and', 'user', 'system', 'it']
const letters = Array.from(
  'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?"\'()[]{}<>|_-+=/\\',
)

function spmVocabulary(marks: NonNullable<TinyGgufOptions['marks']> = []): Vocabulary {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  )
  const plain = ['▁', ...letters, ...words, ...words.map((word) => `▁${word}`), 'é', '€', '▁ü', '😀']
  return {
    tokens: ['<unk>', ...control, ...bytes, ...plain, ...marks.map(({ text }) => text)],
    types: [
      tokenType.unknown,
      ...control.map(() => tokenType.control),
      ...bytes.map(() => tokenType.byte),
      ...plain.map(() => tokenType.normal),
      ...marks.map(({ isControl }) => (isControl ? tokenType.control : tokenType.userDefined)),
    ],
    scores: [
      0,
      ...control.map(() => 0),
      ...bytes.map(() => 0),
      ...plain.map((token) => token.length - 20),
      ...marks.map(() => 0),
    ],
    merges: [],
  }
}

/** What tokens of a tiny `spm` model stand for, worked out without the engine. */
export function decodeTiny(tokens: readonly number[]): string {
  const { tokens: pieces, types } = spmVocabulary()
  const bytes = tokens.map((token) => {
    const piece = pieces[token] ?? ''
    if (types[token] === tokenType.byte) return Buffer.from(piece.slice(3, 5), 'hex')
    return Buffer.from(types[token] === tokenType.normal ? piece.replaceAll('▁', ' ') : '')
  })
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(bytes))
}

/** GPT-2's reversible map from bytes to printable characters. */
function byteAlphabet(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++))
}

function bpeVocabulary(): Vocabulary {
  const alphabet = byteAlphabet()
  const toToken = (bytes: Uint8Array) => Array.from(bytes, (byte) => alphabet[byte] ?? '').join('')
  const pairs = ['th', 'he', 'in', 'an', 'er', ' t', ' a', 'is', 'us', 'é'].map((pair) => Buffer.from(pair))
  // Pieces that cut letters in half, as real byte-level vocabularies have.
  const seams = [Buffer.from([0xe2, 0x82]), Buffer.from([0x82, 0xac]), Buffer.from([0xf0, 0x9f])]
  const merged = [...pairs, ...seams]
  const tokens = [...control, ...alphabet, ...merged.map(toToken)]
  return {
    tokens,
    types: tokens.map((_, index) => (index < control.length ? tokenType.control : tokenType.normal)),
    scores: [],
    merges: merged.map(
      (bytes) => `${toToken(bytes.subarray(0, -1).subarray(0, 1))} ${toToken(bytes.subarray(1))}`,
    ),
  }
}

function tensors(vocabularySize: number, layers: number): GgufTensor[] {
  const matrix = (name: string, input: number, output: number): GgufTensor => ({
    name,
    shape: [input, output],
    deviation: 1 / Math.sqrt(input),
  })
  const norm = (name: string): GgufTensor => ({ name, shape: [embedding], deviation: 0 })
  const kvWidth = (embedding / heads) * kvHeads
  return [
    { name: 'token_embd.weight', shape: [embedding, vocabularySize], deviation: 1 },
    ...Array.from({ length: layers }, (_, layer) => [
      norm(`blk.${layer}.attn_norm.weight`),
      matrix(`blk.${layer}.attn_q.weight`, embedding, embedding),
      matrix(`blk.${layer}.attn_k.weight`, embedding, kvWidth),
      matrix(`blk.${layer}.attn_v.weight`, embedding, kvWidth),
      matrix(`blk.${layer}.attn_output.weight`, embedding, embedding),
      norm(`blk.${layer}.ffn_norm.weight`),
      matrix(`blk.${layer}.ffn_gate.weight`, embedding, feedForward),
      matrix(`blk.${layer}.ffn_up.weight`, embedding, feedForward),
      matrix(`blk.${layer}.ffn_down.weight`, feedForward, embedding),
    ]).flat(),
    norm('output_norm.weight'),
    { name: 'output.weight', shape: [embedding, vocabularySize], deviation: 0.3 },
  ]
}

/** The bytes of a tiny model; see {@link TinyGgufOptions}. */
export function createTinyGguf(options: TinyGgufOptions = {}): Buffer {
  const {
    seed = 1,
    tokenizer = 'spm',
    contextTokens = 2_048,
    layers = 2,
    chatTemplate = chatMlTemplate,
    isEndless = false,
    marks = [],
  } = options
  const vocabulary = tokenizer === 'spm' ? spmVocabulary(marks) : bpeVocabulary()
  const id = (token: string) => vocabulary.tokens.indexOf(token)
  const metadata: [string, GgufValue][] = [
    ['general.architecture', ['string', 'llama']],
    ['general.name', ['string', `tiny ${tokenizer} ${seed}`]],
    ['general.alignment', ['uint32', alignment]],
    ['llama.context_length', ['uint32', contextTokens]],
    ['llama.embedding_length', ['uint32', embedding]],
    ['llama.block_count', ['uint32', layers]],
    ['llama.feed_forward_length', ['uint32', feedForward]],
    ['llama.attention.head_count', ['uint32', heads]],
    ['llama.attention.head_count_kv', ['uint32', kvHeads]],
    ['llama.attention.layer_norm_rms_epsilon', ['float32', 1e-5]],
    ['llama.rope.dimension_count', ['uint32', embedding / heads]],
    ['llama.vocab_size', ['uint32', vocabulary.tokens.length]],
    ['tokenizer.ggml.model', ['string', tokenizer === 'spm' ? 'llama' : 'gpt2']],
    ['tokenizer.ggml.pre', ['string', tokenizer === 'spm' ? 'default' : 'gpt-2']],
    ['tokenizer.ggml.tokens', ['array', vocabulary.tokens, 'string']],
    ['tokenizer.ggml.token_type', ['array', vocabulary.types]],
    ['tokenizer.ggml.bos_token_id', ['uint32', id('<s>')]],
    ['tokenizer.ggml.eos_token_id', ['uint32', id('<|im_end|>')]],
    ['tokenizer.ggml.add_bos_token', ['bool', false]],
    ['tokenizer.ggml.add_space_prefix', ['bool', false]],
  ]
  if (vocabulary.merges.length > 0) {
    metadata.push(['tokenizer.ggml.merges', ['array', vocabulary.merges, 'string']])
  }
  if (chatTemplate !== null) metadata.push(['tokenizer.chat_template', ['string', chatTemplate]])

  if (vocabulary.scores.length > 0) {
    metadata.push(['tokenizer.ggml.scores', ['array', vocabulary.scores, 'float32']])
  }
  return createGguf(metadata, tensors(vocabulary.tokens.length, layers), seed, (name, values) => {
    // A row of zeros is a logit of zero: among hundreds of random ones it is never the largest.
    if (!isEndless || name !== 'output.weight') return
    for (const token of control) values.fill(0, id(token) * embedding, (id(token) + 1) * embedding)
  })
}

/** Writes a tiny model to `path` and returns the path. */
export function writeTinyGguf(path: string, options: TinyGgufOptions = {}): string {
  writeFileSync(path, createTinyGguf(options))
  return path
}

/** Writes the first `share` (0–1) of a tiny model: what an interrupted download leaves. */
export function writeTruncatedGguf(path: string, share: number, options: TinyGgufOptions = {}): string {
  const bytes = createTinyGguf(options)
  writeFileSync(path, bytes.subarray(0, Math.floor(bytes.length * share)))
  return path
}
