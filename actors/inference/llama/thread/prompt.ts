import { GeneralChatWrapper, JinjaTemplateChatWrapper, resolveChatWrapper } from 'node-llama-cpp'
import type { ChatHistoryItem, ChatWrapper, LlamaModel, Token } from 'node-llama-cpp'
import {
  hasToolTurns,
  QMeshError,
  toQMeshError,
  type ChatMessage,
  type Tool,
} from '../../../../protocol/index.ts'
import type { VitalSigns } from '../vital-signs.ts'
import { areBeyond } from './token-count.ts'
import type { ToolTemplate } from './tool-template.ts'
import { withinTime } from './within-time.ts'

/** Turns requests into token ids, with the chat template that the model file carries. */
export interface PromptEncoder {
  /** @throws QMeshError `QM_CHAT_TEMPLATE_FAILED`, `QM_TOOLS_UNSUPPORTED` */
  encodeChat(messages: readonly ChatMessage[], tools?: readonly Tool[]): Token[]
  encodeText(text: string): Token[]
  /** See `areBeyond`. */
  areBeyond(texts: readonly string[], tokens: number): boolean
}

/** Milliseconds a chat template may take; those in use take less than one. */
const templateMsMax = 2_000

/**
 * The template's own text is tokenized with control tokens, what people wrote never is: `<|im_start|>` inside a message
 * is five ordinary pieces, so nobody can forge a turn. The wrapper guarantees it by rendering the template with random
 * placeholders in place of the contents, and joining tokens instead of text.
 */
export function createPromptEncoder(
  model: LlamaModel,
  vitals: VitalSigns,
  toolTemplate: ToolTemplate | undefined,
): PromptEncoder {
  const wrapper = createWrapper(model)
  const tokenize = (text: string): Token[] => vitals.nativeNow(() => model.tokenize(text, false))
  const encodeToolChat = (messages: readonly ChatMessage[], tools: readonly Tool[]): Token[] => {
    if (!toolTemplate) throw new QMeshError('QM_TOOLS_UNSUPPORTED')
    const pieces = toolTemplate.render(messages, tools)
    const tokens = pieces.flatMap((piece, index) =>
      vitals.nativeNow(() => model.tokenize(piece, true, index === 0 ? undefined : 'trimLeadingSpace')),
    )
    return withBos(model, tokens)
  }
  return {
    encodeChat(messages, tools = []) {
      try {
        if (tools.length > 0 || hasToolTurns(messages)) return encodeToolChat(messages, tools)
        const { contextText } = withinTime(templateMsMax, () =>
          wrapper.generateContextState({ chatHistory: toHistory(messages) }),
        )
        return withBos(
          model,
          vitals.nativeNow(() => contextText.tokenize(model.tokenizer)),
        )
      } catch (error) {
        throw toQMeshError(error, 'QM_CHAT_TEMPLATE_FAILED')
      }
    },
    encodeText: (text) => withBos(model, tokenize(text)),
    areBeyond: (texts, tokens) => areBeyond(texts, tokens, tokenize),
  }
}

/**
 * The file's template is followed to the letter. The library's specialised wrappers, which would add to it (a BOS
 * token, a system prompt), serve only where the template cannot be run, or there is none.
 */
function createWrapper(model: LlamaModel): ChatWrapper {
  const template = model.fileInfo.metadata.tokenizer?.chat_template
  if (typeof template === 'string' && template.trim() !== '') {
    for (const joinAdjacentMessagesOfTheSameType of [false, true]) {
      try {
        return withinTime(
          templateMsMax,
          () =>
            new JinjaTemplateChatWrapper({
              template,
              tokenizer: model.tokenizer,
              joinAdjacentMessagesOfTheSameType,
              trimLeadingWhitespaceInResponses: false,
            }),
        )
      } catch {
        // Some templates demand strictly alternating roles; others use what this Jinja does not know.
      }
    }
  }
  try {
    // What was tried above is not tried again: the library would write its failure to the console.
    return withinTime(templateMsMax, () => resolveChatWrapper(model, { warningLogs: false, noJinja: true }))
  } catch {
    return new GeneralChatWrapper()
  }
}

function toHistory(messages: readonly ChatMessage[]): ChatHistoryItem[] {
  const history = messages.map(({ role, content }): ChatHistoryItem => {
    if (role === 'assistant') return { type: 'model', response: [content] }
    return role === 'system' ? { type: 'system', text: content } : { type: 'user', text: content }
  })
  // An open answer makes the wrapper end where the model is to go on; an assistant's message at the end is such one.
  if (messages.at(-1)?.role !== 'assistant') history.push({ type: 'model', response: [''] })
  return history
}

/** Models that expect a first token get exactly one, whether or not their template writes it. */
function withBos(model: LlamaModel, tokens: Token[]): Token[] {
  const { bos, shouldPrependBosToken } = model.tokens
  return bos !== null && shouldPrependBosToken && tokens[0] !== bos ? [bos, ...tokens] : tokens
}
