import type { GgufMetadataTokenizer } from 'node-llama-cpp'
import { callForms } from '../../../../machines/tools/index.ts'
import type { PieceDecoder } from './token-text.ts'
import { createToolTemplate, type ToolTemplate } from './tool-template.ts'

/** llama.cpp's types of tokens that ordinary text must not become. */
const unknownType = 2
const controlType = 3

/** The chat template of a file, if it knows functions; from the metadata alone, so the model need not be loaded. */
export function readToolTemplate(tokenizer: GgufMetadataTokenizer | undefined): ToolTemplate | undefined {
  const template = tokenizer?.chat_template
  if (typeof template !== 'string' || template.trim() === '') return undefined
  const {
    tokens = [],
    token_type: types = [],
    bos_token_id: bos = -1,
    eos_token_id: eos = -1,
  } = tokenizer?.ggml ?? {}
  return createToolTemplate({
    template,
    bosToken: tokens[bos] ?? '',
    eosToken: tokens[eos] ?? '',
    controlTexts: tokens.filter((_, index) => isControl(types[index])),
  })
}

const isControl = (type: number | undefined): boolean => type === unknownType || type === controlType

/**
 * Marks of calls are control tokens in some vocabularies, and those have no text. Whoever reads the answer needs it.
 *
 * @returns the decoder, with a text for them
 */
export function withCallMarks(
  decoder: PieceDecoder,
  { style }: ToolTemplate,
  tokenizer: GgufMetadataTokenizer | undefined,
): PieceDecoder {
  const { begin, end } = callForms[style]
  const marks = new Map<number, string>()
  for (const mark of [begin, end]) {
    const token = mark === '' ? -1 : (tokenizer?.ggml.tokens.indexOf(mark) ?? -1)
    if (token >= 0 && isControl(tokenizer?.ggml.token_type[token])) marks.set(token, mark)
  }
  if (marks.size === 0) return decoder
  return {
    decode(tokens) {
      let text = ''
      let from = 0
      for (const [index, token] of tokens.entries()) {
        const mark = marks.get(token)
        if (mark === undefined) continue
        if (index > from) text += decoder.decode(tokens.slice(from, index))
        text += mark
        from = index + 1
      }
      return from < tokens.length ? text + decoder.decode(from === 0 ? tokens : tokens.slice(from)) : text
    },
  }
}
