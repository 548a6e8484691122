import { describe, expect, it } from 'vitest'
import { ScreenBlock } from '../../../runtime/terminal/screen-block.ts'
import { paper } from './paper-screen.ts'

describe('a block of lines on a terminal', () => {
  it('is drawn in its place, and only when it changed', () => {
    const screen = paper(20, 6)
    const block = new ScreenBlock(screen)
    block.show(['one', 'two'])
    block.show(['one', 'two'])
    expect(screen.writes).toBe(1)
    expect(screen.lines()).toEqual(['one', 'two'])
    block.show(['one', { heading: 'three' }, 'four'])
    expect(screen.lines()).toEqual(['one', 'three', 'four'])
    block.show(['five'])
    expect(screen.lines()).toEqual(['five'])
  })

  it('stands below the lines that stay', () => {
    const screen = paper(20, 6)
    const block = new ScreenBlock(screen)
    block.show(['a longer line', 'b'])
    block.say('said')
    expect(screen.lines()).toEqual(['said', 'a longer line', 'b'])
    block.show([])
    expect(screen.lines()).toEqual(['said'])
  })

  it('never shows less than it will: nothing is cleared before it is written over', () => {
    const screen = paper(20, 6)
    const block = new ScreenBlock(screen)
    block.show(['one', 'two'])
    screen.written.length = 0
    block.show(['one', 'TWO'])
    const [frame = ''] = screen.written
    expect(frame.indexOf('\u001B[J')).toBeGreaterThan(frame.indexOf('TWO'))
  })

  it.each([
    [10, 4],
    [1, 1],
    [3, 2],
  ])('fits %d columns and %d rows, without moving the screen up', (columns, rows) => {
    const screen = paper(columns, rows)
    const block = new ScreenBlock(screen)
    for (const text of ['first', 'second']) {
      block.show(Array.from({ length: 12 }, (_, at) => `${text} line number ${at}`))
    }
    if (rows > 1) expect(screen.scrolled).toBe(0)
    const lines = screen.lines()
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
    if (columns === 10) expect(lines).toEqual(['second l…', 'second l…', 'second l…'])
  })

  it('shows what others wrote, and obeys none of it', () => {
    const screen = paper(60, 6)
    new ScreenBlock(screen).show(['a\u001B[2J\u001B]0;owned\u0007b\nc', { heading: '\u009B2Jd\u202E' }])
    expect(screen.lines()).toEqual(['a␛[2J␛]0;owned␇b c', '\u{FFFD}2Jd\u{FFFD}'])
  })

  it('begins anew where somebody else cleared the screen', () => {
    const screen = paper(20, 6)
    const block = new ScreenBlock(screen)
    block.show(['one', 'two'])
    screen.write('\u001B[H\u001B[2J')
    block.forget()
    block.show(['one', 'two'])
    expect(screen.lines()).toEqual(['one', 'two'])
  })
})
