import { describe, expect, it } from 'vitest'
import { toBlocks, toPieces, withMarks, type Mark } from '../../console/views/chat/rich-text.ts'
import { toNote } from '../../console/views/chat/stream-notes.ts'

const mark = (at: number): Mark => ({ at, from: 'aa', to: 'bb', gapMs: 5 })
const shape = (text: string, marks: readonly Mark[] = []) =>
  withMarks(toBlocks(text), marks).map((part) => (part.kind === 'mark' ? '|' : `${part.kind}:${part.text}`))

describe('the text of an answer', () => {
  it.each([
    ['plain', ['text:plain']],
    ['', []],
    ['a\n```js\nx()\n```\nb', ['text:a\n', 'code:x()\n', 'text:b']],
    // Still coming.
    ['a\n```\nx', ['text:a\n', 'code:x']],
    ['```\n```', []],
    ['a ``` b', ['text:a ``` b']],
  ])('%j has the parts %j', (text, parts) => {
    expect(shape(text)).toEqual(parts)
  })

  it.each([
    ['hello', 0, ['|', 'text:hello']],
    ['hello', 2, ['text:he', '|', 'text:llo']],
    ['hello', 5, ['text:hello', '|']],
    ['two words', 3, ['text:two ', '|', 'text:words']],
    ['a\n```\nxy\n```\nb', 7, ['text:a\n', 'code:x', '|', 'code:y\n', 'text:b']],
    // Within a fence, which is not shown.
    ['a\n```\nxy', 4, ['text:a\n', '|', 'code:xy']],
  ])('%j with a mark at %i', (text, at, parts) => {
    expect(shape(text, [mark(at)])).toEqual(parts)
  })

  it('two marks stand in their order', () => {
    expect(shape('abcd', [mark(1), mark(3)])).toEqual(['text:a', '|', 'text:bc', '|', 'text:d'])
    expect(shape('ab', [mark(1), mark(1)])).toEqual(['text:a', '|', '|', 'text:b'])
  })

  it('only addresses of the web become links', () => {
    const kinds = (text: string) => toPieces(text).map(({ kind, text: piece }) => `${kind}:${piece}`)
    expect(kinds('see https://a.example/b?c=d. or `x` **y**')).toEqual([
      'plain:see ',
      'link:https://a.example/b?c=d',
      'plain:. or ',
      'code:x',
      'plain: ',
      'strong:y',
    ])
    for (const text of ['javascript:alert(1)', 'data:text/html,x', '<a href=x>', '[a](ftp://b)'])
      expect(kinds(text)).toEqual([`plain:${text}`])
  })

  it('long answers and strange ones take no time', () => {
    // Its own time: others may have the machine meanwhile.
    const started = process.cpuUsage()
    for (const text of [
      '`'.repeat(50_000),
      '*'.repeat(50_000),
      'http://'.repeat(10_000),
      '```\n'.repeat(20_000),
    ])
      toBlocks(text).forEach((block) => toPieces(block.text))
    expect(process.cpuUsage(started).user / 1_000).toBeLessThan(2_000)
  })
})

describe('the comments of a stream', () => {
  const id = 'ab'.repeat(32)
  it.each([
    ['place in the queue: 3, about 900 ms to go', { type: 'place', position: 3, etaMs: 900 }],
    [
      `continued on another worker: from ${id} to ${id} after 7 tokens and 240 ms (QM_WORKER_LOST)`,
      { type: 'handover', from: id, to: id, gapMs: 240 },
    ],
    [`x-qmesh-worker ${id}`, { type: 'worker', workerId: id }],
    ['still here', undefined],
    ['x-qmesh-handovers 1', undefined],
    ['', undefined],
  ])('%s', (comment, note) => {
    expect(toNote(comment)).toEqual(note)
  })
})
