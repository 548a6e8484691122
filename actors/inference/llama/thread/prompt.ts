import { GeneralChatWrapper, JinjaTemplateChatWrapper, resolveChatWrapper } from 'node-llama-cpp'
import type { ChatHistoryItem, ChatWrapper, LlamaModel, Token } from 'node-llama-cpp'
import { toQMeshError, type ChatMessage } from '../../../../protocol/index.ts'

/** Turns requests into token ids, with the chat template that the model file carries. */
export interface PromptEncoder {
  /** @throws QMeshError `QM_CHAT_TEMPLATE_FAILED` */
  encodeChat(messages: readonly ChatMessage[]): Token[]
  encodeText(text: string): Token[]
}

/**
 * The template's own text is tokenized with control tokens, what people wrote never is: `<|im_start|>` inside a message
 * is five ordinary pieces, so nobody can forge a turn. The wrapper guarantees it by rendering the template with random
 * placeholders in place of the contents, and joining tokens instead of text.
 */
export function createPromptEncoder(model: LlamaModel): PromptEncoder {
  const wrapper = createWrapper(model)
  return {
    encodeChat(messages) {
      try {
        const { contextText } = wrapper.generateContextState({ chatHistory: toHistory(messages) })
        return withBos(model, contextText.tokenize(model.tokenizer))
      } catch (error) {
        throw toQMeshError(error, 'QM_CHAT_TEMPLATE_FAILED')
      }
    },
    encodeText: (text) => withBos(model, model.tokenize(text, false)),
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
        return new JinjaTemplateChatWrapper({
          template,
          tokenizer: model.tokenizer,
          joinAdjacentMessagesOfTheSameType,
          trimLeadingWhitespaceInResponses: false,
        })
      } catch {
        // Some templates demand strictly alternating roles; others use what this Jinja does not know.
      }
    }
  }
  try {
    return resolveChatWrapper(model, { warningLogs: false })
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
