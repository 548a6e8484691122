import { describe, expect, it } from 'vitest'
import { parseCalls } from '../../../machines/tools/index.ts'
import { limits, type ToolStyle } from '../../../protocol/index.ts'

const read = (style: ToolStyle, text: string, isParallel = true) => {
  const { text: rest, calls } = parseCalls(text, {
    style,
    names: ['f', 'g'],
    isParallel,
    toId: (index) => String(index),
  })
  return [rest, ...calls.map(({ name, arguments: given }) => `${name}${given}`)]
}
const call = (inner: string): string => `<tool_call>${inner}</tool_call>`

describe('calls of the style hermes', () => {
  it.each([
    ['nothing else', call('{"name": "f", "arguments": {"a": [1, "}"]}}'), ['', 'f{"a": [1, "}"]}']],
    ['text before', `So.\n${call('\n{"name":"f","arguments":{}}\n')}`, ['So.', 'f{}']],
    ['text behind', `${call('{"name":"f","arguments":{}}')}\nDone.`, ['\nDone.', 'f{}']],
    [
      'two',
      call('{"name":"f","arguments":{}}') + '\n' + call('{"name":"g","arguments":{}}'),
      ['', 'f{}', 'g{}'],
    ],
    ['the arguments first', call('{"arguments": {"a": 1}, "name": "f"}'), ['', 'f{"a": 1}']],
    ['what Llama calls them', call('{"name": "f", "parameters": {"a": 1}}'), ['', 'f{"a": 1}']],
    ['further members', call('{"id": "x{", "name": "f", "n": [{}], "arguments": {}}'), ['', 'f{}']],
    ['no arguments', call('{"name": "f"}'), ['', 'f{}']],
    ['null', call('{"name": "f", "arguments": null}'), ['', 'f{}']],
    [
      'arguments as a string',
      call('{"name": "f", "arguments": "{\\"a\\": \\"\\u00e9\\"}"}'),
      ['', 'f{"a": "é"}'],
    ],
    ['arguments that are wrong', call('{"name": "f", "arguments": {"a": oh}}'), ['', 'f{"a": oh}']],
    ['a name in other letters', call('{"name": "\\u0066", "arguments": {}}'), ['', 'f{}']],
    ['no end', '<tool_call>{"name": "f", "arguments": {"a": 1}}', ['', 'f{"a": 1}']],
    ['half an end', '<tool_call>{"name": "f", "arguments": {}}</tool', ['', 'f{}']],
    ['cut in the arguments', '<tool_call>{"name": "f", "arguments": {"a": "b', ['', 'f{"a": "b']],
    ['cut before them', '<tool_call>{"name": "f", "argu', ['', 'f']],
  ])('%s', (_, text, expected) => {
    expect(read('hermes', text)).toEqual(expected)
  })

  it.each([
    ['no JSON', call('f(1)')],
    ['another function', call('{"name": "h", "arguments": {}}')],
    ['no name', call('{"arguments": {}}')],
    ['no end of the name', '<tool_call>{"name": "f'],
    ['half a mark', 'a <tool_ca'],
    ['a mark within a mark', `<tool_<tool_call`],
    ['spaces', '  \n '],
    ['a list', call('[1]')],
    ['two sets of arguments', call('{"arguments": {}, "parameters": {}, "name": "f"}')],
    ['nothing', ''],
  ])('what is none is text, to the letter: %s', (_, text) => {
    expect(read('hermes', text)).toEqual([text])
  })

  it('a call in what was none is found', () => {
    const text = `<tool_call>oh ${call('{"name":"f","arguments":{}}')}`
    expect(read('hermes', text)).toEqual(['<tool_call>oh', 'f{}'])
    expect(read('hermes', `<tool_call>${call('{"name":"f","arguments":{}}')}`)).toEqual([
      '<tool_call>',
      'f{}',
    ])
  })

  it('as many as there may be are calls, the others text', () => {
    const one = call('{"name":"f","arguments":{}}')
    expect(read('hermes', one + one, false)).toEqual([one, 'f{}'])
    expect(read('hermes', one.repeat(limits.toolCallsMax + 1))).toHaveLength(limits.toolCallsMax + 1)
  })
})

describe('calls of the style llama3', () => {
  it.each([
    ['the answer', '{"name": "f", "parameters": {"a": 1}}', ['', 'f{"a": 1}']],
    ['spaces around', '\n {"name": "f", "parameters": {}}\n', ['', 'f{}']],
    ['text before', 'So {"name": "f", "parameters": {}}', ['So {"name": "f", "parameters": {}}']],
    ['other JSON', '{"a": 1}', ['{"a": 1}']],
    ['text behind', '{"name": "f", "parameters": {}} or so', [' or so', 'f{}']],
    ['a brace', ' {', [' {']],
  ])('%s', (_, text, expected) => {
    expect(read('llama3', text)).toEqual(expected)
  })
})

describe('calls of the style mistral', () => {
  it.each([
    ['one', '[TOOL_CALLS][{"name": "f", "arguments": {}}]', ['', 'f{}']],
    [
      'two',
      '[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]',
      ['', 'f{}', 'g{}'],
    ],
    ['text before', 'So.[TOOL_CALLS][{"name": "f", "arguments": {}}]', ['So.', 'f{}']],
    ['no list', '[TOOL_CALLS]{"name": "f"}', ['[TOOL_CALLS]{"name": "f"}']],
    ['an empty list', '[TOOL_CALLS][]', ['[TOOL_CALLS][]']],
    ['the mark alone', '[TOOL_CALLS]', ['[TOOL_CALLS]']],
    [
      'a second that is none',
      '[TOOL_CALLS][{"name": "f", "arguments": {}}, {"name": "h"}]',
      [', {"name": "h"}]', 'f{}'],
    ],
  ])('%s', (_, text, expected) => {
    expect(read('mistral', text)).toEqual(expected)
  })
})
