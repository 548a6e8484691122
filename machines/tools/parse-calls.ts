import type { ToolCall } from '../../protocol/index.ts'
import { CallParser, type CallParserOptions } from './call-parser.ts'

/** All of an answer at once. */
export function parseCalls(text: string, options: CallParserOptions): { text: string; calls: ToolCall[] } {
  const parser = new CallParser(options)
  const parts = [parser.push(text), parser.finish()]
  const calls: ToolCall[] = []
  for (const delta of parts.flatMap((part) => part.calls)) {
    const { id, name } = delta
    if (id !== undefined && name !== undefined) calls.push({ id, name, arguments: delta.arguments })
    else {
      const call = calls.at(-1)
      if (call) call.arguments += delta.arguments
    }
  }
  return { text: parts.map((part) => part.text).join(''), calls }
}
