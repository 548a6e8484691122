import { EventEmitter } from 'node:events'
import type { ReadStream, WriteStream } from 'node:tty'
import { expect, it, onTestFinished, vi } from 'vitest'
import { takeScreen } from '../../../runtime/terminal/full-screen.ts'

const [taken, given] = ['\u001B[?1049h\u001B[?25l\u001B[H\u001B[2J', '\u001B[?7h\u001B[?25h\u001B[?1049l']
const events = ['exit', 'SIGCONT', 'SIGHUP'] as const

function createRig(isTTY = true) {
  const written: string[] = []
  const modes: boolean[] = []
  const input = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (isRaw: boolean) => void modes.push(isRaw),
    resume: () => undefined,
    pause: () => undefined,
  })
  const output = Object.assign(new EventEmitter(), {
    columns: 80,
    rows: 24,
    writableNeedDrain: false,
    write: (text: string) => written.push(text),
  })
  const keys: string[] = []
  const blank = vi.fn<() => void>()
  const before = events.map((name) => process.listenerCount(name))
  const screen = takeScreen(
    { input: input as unknown as ReadStream, output: output as unknown as WriteStream },
    { key: (key) => keys.push(key), blank },
  )
  onTestFinished(() => screen.release())
  return { written, modes, input, output, keys, blank, before, screen }
}

it('a terminal is taken, and given back once', () => {
  const { written, modes, screen, before, input, output } = createRig()
  expect({ written, modes }).toEqual({ written: [taken], modes: [true] })
  screen.release()
  screen.release()
  expect({ written, modes }).toEqual({ written: [taken, given], modes: [true, false] })
  // Nothing of it is left.
  expect(events.map((name) => process.listenerCount(name))).toEqual(before)
  expect(output.listenerCount('resize') + input.listenerCount('data')).toBe(0)
})

it('the terminal is given back when the process ends in another way', () => {
  const { written } = createRig()
  // What Node does last: the listeners that this test did not add are not its business.
  const listener = process.listeners('exit').at(-1) as (code: number) => void
  listener(1)
  expect(written).toEqual([taken, given])
})

it('keys are told one by one, sequences are not', () => {
  const { input, keys } = createRig()
  for (const data of ['ab', '\u001B[A', '\u0003', '\u001Bq']) input.emit('data', Buffer.from(data))
  expect(keys).toEqual(['a', 'b', '\u0003'])
})

it('Ctrl-Z gives it back until the process goes on', () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
  onTestFinished(() => kill.mockRestore())
  const { input, written, modes, blank } = createRig()
  input.emit('data', Buffer.from('\u001A'))
  expect(kill).toHaveBeenCalledWith(0, 'SIGTSTP')
  expect({ written, modes }).toEqual({ written: [taken, given], modes: [true, false] })
  expect(blank).not.toHaveBeenCalled()
  const listener = process.listeners('SIGCONT').at(-1) as (signal: NodeJS.Signals) => void
  listener('SIGCONT')
  expect(written).toEqual([taken, given, taken])
  expect(blank).toHaveBeenCalledOnce()
})

it('another size is an empty screen', () => {
  const { output, written, blank, screen } = createRig()
  output.columns = 40
  output.emit('resize')
  expect(written.at(-1)).toBe('\u001B[H\u001B[2J')
  expect(blank).toHaveBeenCalledOnce()
  expect(screen.columns).toBe(40)
})

it('input that is no terminal is left alone', () => {
  const { modes, screen, input } = createRig(false)
  screen.release()
  expect(modes).toEqual([])
  expect(input.listenerCount('data')).toBe(0)
})
