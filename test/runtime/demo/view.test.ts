import { describe, expect, it } from 'vitest'
import type { DemoBoard } from '../../../runtime/demo/board.ts'
import { createScreenView } from '../../../runtime/demo/screen-view.ts'
import { createLinesView } from '../../../runtime/demo/view.ts'

const worker = { name: 'hostile', isHonest: false, pid: 42, id: 'aa', requests: 3, isAlive: true }
const board = {
  workers: [worker],
  questions: [],
  shutOutBy: ['silver'],
  stream: { name: 'bronze-1 #1', phase: 'streaming', tokens: [1], workerId: 'aa', text: 'a\u001B[2Jb' },
  nameOf: () => 'hostile',
  seenBy: () => ({ models: [{ id: 'nano' }], slotsBusy: 0, slots: 8, queueLength: 0, state: 'idle' }),
} as unknown as DemoBoard

describe('the views of the demo', () => {
  it('write plain lines with the time, one line each', () => {
    const written: string[] = []
    const view = createLinesView((text) => written.push(text))
    view.say('a\u001B]0;owned\u0007 b\nc')
    view.close()
    view.say('late')
    expect(written).toEqual([expect.stringMatching(/^ {2}0\.\d s {2}a␛\]0;owned␇ b c\n$/)])
  })

  it('draw a block below the lines that stay, and only when it changed', () => {
    const written: string[] = []
    const screen = { columns: 60, rows: 24, write: (text: string) => written.push(text) }
    const view = createScreenView(screen)
    view.show(board)
    view.show(board)
    expect(written).toHaveLength(1)
    expect(written[0]).toContain('hostile  process 42')
    // What a model says moves no cursor.
    expect(written[0]).toContain('a␛[2Jb')
    for (const line of written[0]?.split('\n') ?? []) expect(line.length).toBeLessThan(60)
    view.say('said')
    // Up to where the block began, and all of it anew.
    expect(written[1]?.startsWith('\u001B[?2026h\r\u001B[5A\u001B[J')).toBe(true)
    expect(written[1]).toMatch(/0\.\d s {2}said\n/)
    view.close()
    view.say('late')
    view.show(board)
    expect(written).toHaveLength(3)
  })
})
