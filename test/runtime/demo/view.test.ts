import { describe, expect, it } from 'vitest'
import type { DemoBoard } from '../../../runtime/demo/board.ts'
import { createScreenView } from '../../../runtime/demo/screen-view.ts'
import { createLinesView } from '../../../runtime/demo/view.ts'
import { paper } from '../terminal/paper-screen.ts'

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
    const screen = paper(60, 24)
    const view = createScreenView(screen)
    view.show(board)
    view.show(board)
    expect(screen.writes).toBe(1)
    // What a model says moves no cursor.
    expect(screen.lines()).toEqual([
      '',
      '  hostile  process 42       nano · says it is idle · asked…',
      '',
      '  bronze-1 #1  hostile answers, 1 tokens so far',
      '  a␛[2Jb',
    ])
    view.say('said')
    expect(screen.lines()[0]).toMatch(/^ +0\.\d s {2}said$/)
    expect(screen.lines()).toHaveLength(6)
    view.close()
    view.say('late')
    view.show(board)
    expect(screen.lines()).toHaveLength(1)
  })

  it('show what is read along where there is little room', () => {
    const screen = paper(60, 3)
    createScreenView(screen).show(board)
    expect(screen.lines()).toEqual(['  bronze-1 #1  hostile answers, 1 tokens so far', '  a␛[2Jb'])
  })
})
