import { describe, expect, test } from 'vitest'
import { AnswerLog, type AnswerChunk } from '../../../actors/request/answer-log.ts'

const letters = 20_000
const text = Array.from({ length: letters }, (_, index) => String.fromCodePoint(97 + (index % 26))).join('')

async function readAll(log: AnswerLog): Promise<AnswerChunk[]> {
  const chunks: AnswerChunk[] = []
  for (let next = await log.next(); !next.done; next = await log.next()) chunks.push(next.value)
  return chunks
}

const textOf = (chunks: readonly AnswerChunk[]): string => chunks.map((chunk) => chunk.text).join('')

describe('text that comes letter by letter', () => {
  test.each([
    ['is read later', () => {}],
    ['counts as taken', (log: AnswerLog) => log.drain(true)],
  ])('is kept in few chunks while it %s', async (_, begin) => {
    const log = new AnswerLog()
    begin(log)
    log.push([1, 2], '')
    for (const letter of text) log.push([], letter)
    log.push([3], 'end')
    log.close()
    expect(log.size).toBeLessThan(50)
    expect([log.text, log.chars, log.tokenIds]).toEqual([`${text}end`, letters + 3, [1, 2, 3]])
    expect(textOf(await readAll(log))).toBe(`${text}end`)
    expect(log.read).toBe(3)
  })

  test('reaches a reader who waits at once, and is kept in few chunks afterwards', async () => {
    const log = new AnswerLog()
    const taken: string[] = []
    log.push([1], 'a')
    expect((await log.next()).value).toEqual({ tokens: [1], text: 'a' })
    for (const [index, letter] of Array.from(text).entries()) {
      // Now the reader is there before the letter, now after a few of them.
      const early = index % 3 === 0 ? log.next() : undefined
      log.push([], letter)
      taken.push((await (early ?? (index % 5 === 0 ? log.next() : undefined)))?.value?.text ?? '')
    }
    log.push([2], 'z')
    expect(log.size).toBeLessThan(50)
    log.close()
    taken.push(...(await readAll(log)).map((chunk) => chunk.text))
    expect(taken.join('')).toBe(`${text}z`)
    expect([log.text, log.tokenIds, log.read]).toEqual([`a${text}z`, [1, 2], 2])
  })

  test('stays apart from the tokens around it', async () => {
    const log = new AnswerLog()
    log.push([1], 'a')
    log.push([], 'b')
    log.push([], 'c')
    log.push([2], 'd')
    log.close()
    expect(await readAll(log)).toEqual([
      { tokens: [1], text: 'a' },
      { tokens: [], text: 'bc' },
      { tokens: [2], text: 'd' },
    ])
  })
})
