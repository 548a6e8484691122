import type { ChatMessage } from '../messages/chat.ts'
import type { Tool } from '../messages/tools.ts'
import { hash256 } from './signing.ts'

type CommittedMessage = Omit<ChatMessage, 'role'> & { readonly role: string }

/** The part of a prompt that is what is asked. */
export interface CommittedPrompt {
  readonly messages?: readonly CommittedMessage[] | undefined
  readonly prompt?: string | undefined
  readonly tools?: readonly Tool[] | undefined
}

/** A number of 4 bytes before each part: without it ('ab', 'c') and ('a', 'bc') would be one. */
function framed(text: string): Buffer {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** No role is called like the other parts, so that what a list of parts was made from is clear. */
const toParts = ({ role, content, toolCallId, toolCalls = [] }: CommittedMessage): string[] => [
  role,
  content,
  ...(toolCallId === undefined ? [] : ['answers', toolCallId]),
  ...toolCalls.flatMap((call) => ['call', call.id, call.name, call.arguments]),
]

const toToolParts = ({ name, description = '', parameters = '', strict = false }: Tool): string[] => [
  'function',
  name,
  description,
  parameters,
  strict ? 'strict' : '',
]

/**
 * Binds an offer to its prompt without telling it: BLAKE2b-256 over the salt and each role and text, with the calls and
 * functions there are, or the raw prompt. The text, because a client has no tokenizer.
 *
 * @param salt 16 random bytes, told to the worker with the prompt
 * @returns 32 bytes in hex
 */
export function toPromptCommit(
  salt: Uint8Array,
  { messages, prompt = '', tools = [] }: CommittedPrompt,
): string {
  const parts = messages
    ? ['messages', ...messages.flatMap(toParts), ...tools.flatMap(toToolParts)]
    : ['prompt', prompt]
  return hash256(salt, ...parts.map(framed)).toString('hex')
}

/**
 * Binds a result to its tokens without telling them: BLAKE2b-256 over the salt, a label and their ids, 4 bytes each.
 * A short answer has few possible values, so without the salt whoever reads a public log could guess it.
 *
 * @param salt that of the offer's commitment to its prompt: client and worker have it, and nobody else
 * @returns 32 bytes in hex
 */
export function toOutputCommit(salt: Uint8Array, tokens: readonly number[]): string {
  const bytes = Buffer.alloc(4 * tokens.length)
  for (const [index, token] of tokens.entries()) bytes.writeUInt32LE(token, 4 * index)
  return hash256(salt, framed('output'), bytes).toString('hex')
}
