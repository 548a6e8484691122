import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { plainText } from '../../runtime/plain-text.ts'
import { tempDir } from './support/temp-dir.ts'

function capture(options: { level: string; pretty?: boolean }) {
  const lines: string[] = []
  const logger = createLogger({ ...options, destination: { write: (line: string) => lines.push(line) } })
  return { logger, lines, text: () => lines.join('') }
}

const prompt = 'the quick brown fox'

describe('the logger', () => {
  it.each(['info', 'warn', 'error', 'fatal'] as const)('writes no prompt text at %s', (level) => {
    const { logger, text } = capture({ level: 'trace' })
    logger[level](
      { prompt, request: { messages: [{ content: prompt }] }, job: { a: { text: prompt } } },
      'asked',
    )
    expect(text()).toContain('asked')
    expect(text()).not.toContain(prompt)
  })

  it('writes it at debug, for whoever asked for that', () => {
    const { logger, text } = capture({ level: 'debug' })
    logger.debug({ prompt }, 'asked')
    expect(text()).toContain(prompt)
  })

  it('writes no secret at any level', () => {
    const { logger, text } = capture({ level: 'trace' })
    logger.trace({ secret: 'hunter22', options: { secret: 'hunter22', keyPair: 'hunter22' } })
    expect(text()).not.toContain('hunter22')
  })

  it('writes to a terminal through standard error, where a spinner sees the line and makes room', () => {
    const stderr = process.stderr as { isTTY: boolean | undefined }
    const before = stderr.isTTY
    onTestFinished(() => void (stderr.isTTY = before))
    stderr.isTTY = true
    const written: string[] = []
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      written.push(String(text))
      return true
    })
    createLogger({ level: 'info' }).info('model ready')
    write.mockRestore()
    expect(written.join('')).toMatch(/info.* model ready\n$/)
  })

  it('writes one JSON document a line', () => {
    const { logger, lines } = capture({ level: 'info' })
    logger.debug('not this')
    logger.info({ peer: 'ab' }, 'connected')
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      { level: 'info', time: expect.any(String) as string, peer: 'ab', msg: 'connected' },
    ])
  })

  it('writes one short line for people, without anybody else’s escapes', () => {
    const { logger, text } = capture({ level: 'info', pretty: true })
    logger.warn({ name: 'evil\u001B]0;title\u0007', err: new Error('it\nbroke') }, 'peer said hello')
    expect(text().split('\n')).toHaveLength(2)
    expect(text()).toContain('peer said hello')
    expect(text()).toContain('broke')
    expect(text()).not.toContain('\u001B]')
  })

  it('appends to a file, and says which one cannot be opened', async () => {
    const dir = await tempDir()
    const file = join(dir, 'logs', 'node.log')
    createLogger({ level: 'info', file }).info('one')
    createLogger({ level: 'info', file }).info('two')
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(2)
    expect(() => createLogger({ level: 'info', file: join(file, 'below') })).toThrow(/"logFile" .*below/)
  })
})

it('plain text keeps line feeds, tabs and letters, and shows every other control character', () => {
  expect(plainText('a\tb\nc é 你 🦊')).toBe('a\tb\nc é 你 🦊')
  expect(plainText('\u001B[31mred\u0007\r\n')).toBe('␛[31mred␇\n')
  expect(plainText('\u009B31m\u007F')).toBe('\uFFFD31m\uFFFD')
})
