import { writeFileSync } from 'node:fs'
import { alignment, createGguf, tokenType, type GgufTensor, type GgufValue } from './gguf-writer.ts'

/**
 * Writes a complete BERT GGUF with random weights and a WordPiece vocabulary of its own: it loads in milliseconds, and
 * equal texts have equal vectors, others almost surely not. Equal options give equal bytes.
 */
export interface TinyBertOptions {
  /** Draws the weights: another seed is another model hash. Default 1. */
  readonly seed?: number
  /** Numbers in a vector; a multiple of 4. Default 32. */
  readonly size?: number
  /** Tokens of one text that it was trained for. Default 128. */
  readonly contextTokens?: number
  /** How the vectors of a text's tokens become one: 1 is their mean, 4 ranks. Default 1; null leaves it out. */
  readonly pooling?: number | null
  /** Layers; more layers make it slower. Default 2. */
  readonly layers?: number
  readonly feedForward?: number
  /** Said instead of what it would say, or besides. */
  readonly metadata?: readonly (readonly [key: string, value: GgufValue])[]
}

const heads = 4

const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const
const letters = Array.from('abcdefghijklmnopqrstuvwxyz0123456789.,:;!?')
const words = ['the', 'dog', 'cat', 'mesh', 'of', 'and', 'text', 'is', 'qmesh']

/** A piece that begins a word has a mark in front in GGUF; one that goes on with a word has none. */
const vocabulary: readonly string[] = [
  ...special,
  ...[...letters, ...words].map((piece) => `▁${piece}`),
  ...letters,
  'ing',
  'ed',
]

function tensors(size: number, feedForward: number, layers: number, contextTokens: number): GgufTensor[] {
  const matrix = (name: string, input: number, output: number): GgufTensor[] => [
    { name: `${name}.weight`, shape: [input, output], deviation: 1 / Math.sqrt(input) },
    { name: `${name}.bias`, shape: [output], deviation: 0.1 },
  ]
  const norm = (name: string): GgufTensor[] => [
    { name: `${name}.weight`, shape: [size], deviation: 0 },
    { name: `${name}.bias`, shape: [size], deviation: 0.1 },
  ]
  return [
    { name: 'token_embd.weight', shape: [size, vocabulary.length], deviation: 1 },
    { name: 'token_types.weight', shape: [size, 2], deviation: 0.1 },
    { name: 'position_embd.weight', shape: [size, contextTokens], deviation: 0.3 },
    ...norm('token_embd_norm'),
    ...Array.from({ length: layers }, (_, layer) =>
      [
        matrix(`blk.${layer}.attn_q`, size, size),
        matrix(`blk.${layer}.attn_k`, size, size),
        matrix(`blk.${layer}.attn_v`, size, size),
        matrix(`blk.${layer}.attn_output`, size, size),
        norm(`blk.${layer}.attn_output_norm`),
        matrix(`blk.${layer}.ffn_up`, size, feedForward),
        matrix(`blk.${layer}.ffn_down`, feedForward, size),
        norm(`blk.${layer}.layer_output_norm`),
      ].flat(),
    ).flat(),
  ]
}

/** The bytes of a tiny model for embeddings; see {@link TinyBertOptions}. */
export function createTinyBert(options: TinyBertOptions = {}): Buffer {
  const { seed = 1, size = 32, contextTokens = 128, pooling = 1, layers = 2, feedForward = 64 } = options
  const id = (token: string): number => vocabulary.indexOf(token)
  const metadata: [string, GgufValue][] = [
    ['general.architecture', ['string', 'bert']],
    ['general.name', ['string', `tiny bert ${seed}`]],
    ['general.alignment', ['uint32', alignment]],
    ['bert.context_length', ['uint32', contextTokens]],
    ['bert.embedding_length', ['uint32', size]],
    ['bert.block_count', ['uint32', layers]],
    ['bert.feed_forward_length', ['uint32', feedForward]],
    ['bert.attention.head_count', ['uint32', heads]],
    ['bert.attention.layer_norm_epsilon', ['float32', 1e-12]],
    ['bert.attention.causal', ['bool', false]],
    ['tokenizer.ggml.model', ['string', 'bert']],
    ['tokenizer.ggml.pre', ['string', 'default']],
    ['tokenizer.ggml.token_type_count', ['uint32', 2]],
    ['tokenizer.ggml.tokens', ['array', vocabulary, 'string']],
    [
      'tokenizer.ggml.token_type',
      [
        'array',
        vocabulary.map((_, index) => (index < special.length ? tokenType.control : tokenType.normal)),
      ],
    ],
    ['tokenizer.ggml.bos_token_id', ['uint32', id('[CLS]')]],
    ['tokenizer.ggml.cls_token_id', ['uint32', id('[CLS]')]],
    ['tokenizer.ggml.seperator_token_id', ['uint32', id('[SEP]')]],
    ['tokenizer.ggml.unknown_token_id', ['uint32', id('[UNK]')]],
    ['tokenizer.ggml.padding_token_id', ['uint32', id('[PAD]')]],
    ['tokenizer.ggml.mask_token_id', ['uint32', id('[MASK]')]],
  ]
  if (pooling !== null) metadata.push(['bert.pooling_type', ['uint32', pooling]])
  const said = new Map([...metadata, ...(options.metadata ?? [])])
  return createGguf([...said], tensors(size, feedForward, layers, contextTokens), seed)
}

/** Writes a tiny model for embeddings to `path` and returns the path. */
export function writeTinyBert(path: string, options: TinyBertOptions = {}): string {
  writeFileSync(path, createTinyBert(options))
  return path
}
