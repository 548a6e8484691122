import { createHash, randomBytes } from 'node:crypto'
import { Template } from '@huggingface/jinja'
import { toolStyles, type ChatMessage, type Tool, type ToolStyle } from '../../../../protocol/index.ts'
import { withinTime } from './within-time.ts'

/** Milliseconds a chat template may take; those in use take less than one. */
const templateMsMax = 2_000

export interface ToolTemplateInput {
  readonly template: string
  readonly bosToken: string
  readonly eosToken: string
  /** Texts that the tokenizer would read as control tokens. */
  readonly controlTexts: readonly string[]
}

/** Renders chats with functions by the template of a model that knows how to. */
export interface ToolTemplate {
  readonly style: ToolStyle
  /**
   * @returns the prompt in pieces that are to be tokenized apart: no control token lies across two of them
   * @throws what the template throws
   */
  render(messages: readonly ChatMessage[], tools: readonly Tool[]): string[]
}

/** A template that shows functions, calls and what they gave, in one of the known styles; undefined for any other. */
export function createToolTemplate({
  template,
  bosToken,
  eosToken,
  controlTexts,
}: ToolTemplateInput): ToolTemplate | undefined {
  const control = toPattern(controlTexts)
  let parsed: Template | undefined
  const renderText: Render = (messages, tools) =>
    withinTime(templateMsMax, () => {
      parsed ??= new Template(template)
      return parsed.render({
        messages,
        ...(tools.length > 0 && { tools }),
        add_generation_prompt: true,
        bos_token: bosToken,
        eos_token: eosToken,
      })
    })
  const style = findStyle(renderText)
  if (!style) return undefined
  return {
    style,
    render(messages, tools) {
      // An assistant's message at the end is the beginning of the answer.
      const last = messages.at(-1)
      const begun = last?.role === 'assistant' && !last.toolCalls ? last.content : undefined
      const told = begun === undefined ? messages : messages.slice(0, -1)
      // Drawn anew each time, and gone before a token is made: nobody can write it.
      const mark = `q${randomBytes(12).toString('hex')}`
      const broken = breakUp(control, mark)
      const text = renderText(broken(toTemplateMessages(told)), broken(tools.map(toTemplateTool)))
      const rest = begun === undefined ? '' : broken({ begun }).begun
      return (text + rest).split(mark).filter((piece) => piece !== '')
    },
  }
}

type Render = (messages: readonly object[], tools: readonly object[]) => string

const probe: readonly ChatMessage[] = [
  { role: 'user', content: 'probe-question' },
  {
    role: 'assistant',
    content: '',
    toolCalls: [{ id: 'probe', name: 'probe_name', arguments: '{"alpha": "beta"}' }],
  },
  { role: 'tool', content: 'probe-result', toolCallId: 'probe' },
]
const probeTool: Tool = {
  name: 'probe_name',
  description: 'probe-description',
  parameters: '{"type":"object","properties":{"alpha":{"type":"string"}}}',
}
const calls: Readonly<Record<ToolStyle, RegExp>> = {
  hermes:
    /<tool_call>\s*\{\s*"name":\s*"probe_name",\s*"arguments":\s*\{\s*"alpha":\s*"beta"\s*\}\s*\}\s*<\/tool_call>/,
  llama3: /\{\s*"name":\s*"probe_name",\s*"parameters":\s*\{\s*"alpha":\s*"beta"\s*\}\s*\}/,
  mistral: /\[TOOL_CALLS\]\s*\[\s*\{\s*"name":\s*"probe_name",\s*"arguments":\s*\{\s*"alpha":\s*"beta"\s*\}/,
}

/** What a template says it knows is tried: it has to show the function, the call in a form we can read, and the result. */
function findStyle(render: Render): ToolStyle | undefined {
  try {
    const text = render(toTemplateMessages(probe), [toTemplateTool(probeTool)])
    const seen = ['probe-question', 'probe-description', 'probe-result'].every((part) => text.includes(part))
    return seen ? toolStyles.find((style) => calls[style].test(text)) : undefined
  } catch {
    return undefined
  }
}

/** Some templates want to know again whose result it is. */
function toTemplateMessages(messages: readonly ChatMessage[]): object[] {
  const names = new Map<string, string>()
  return messages.map((message) => {
    for (const { id, name } of message.toolCalls ?? []) names.set(id, name)
    return toTemplateMessage(message, names)
  })
}

/** Templates expect the arguments as a value; what is no JSON stays what it is. */
function toTemplateMessage(
  { role, content, toolCalls, toolCallId }: ChatMessage,
  names: ReadonlyMap<string, string>,
): object {
  return {
    role,
    content,
    ...(toolCallId !== undefined && {
      tool_call_id: toShortId(toolCallId),
      name: names.get(toolCallId) ?? '',
    }),
    ...(toolCalls && {
      tool_calls: toolCalls.map((call) => ({
        id: toShortId(call.id),
        type: 'function',
        function: { name: call.name, arguments: toValue(call.arguments) },
      })),
    }),
  }
}

function toTemplateTool({ name, description, parameters }: Tool): object {
  return {
    type: 'function',
    function: {
      name,
      description: description ?? '',
      parameters: parameters === undefined ? { type: 'object', properties: {} } : toValue(parameters),
    },
  }
}

/** Some templates insist on ids of nine letters and digits. */
const toShortId = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 9)

function toValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

function toPattern(texts: readonly string[]): RegExp | undefined {
  const sorted = texts.filter((text) => text.length > 1).toSorted((a, b) => b.length - a.length)
  if (sorted.length === 0) return undefined
  return new RegExp(sorted.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g')
}

/** Puts the mark into each control token's text in what people wrote: nobody can forge a turn. */
function breakUp(control: RegExp | undefined, mark: string): <Value>(value: Value) => Value {
  const inText = (text: string): string =>
    control ? text.replaceAll(control, ([first = '', ...rest]) => first + mark + rest.join('')) : text
  const inAny = (value: unknown): unknown => {
    if (typeof value === 'string') return inText(value)
    if (Array.isArray(value)) return value.map(inAny)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [inText(key), inAny(part)]))
  }
  return (value) => inAny(value) as typeof value
}
